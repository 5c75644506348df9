from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
import zoo_cases

import vizlib
from vizlib.analysis.attention.head_ablation import compare_ablation
from vizlib.explainers.methods.attention.rollout import explain
from vizlib.passes.ablation import HeadAblation
from vizlib.passes.backward import run_live
from vizlib.passes.forward import run, traces
from vizlib.passes.head_ablation import ablated, overrides
from vizlib.tracing.attention_overrides import applying_overrides
from vizlib.tracing.token_flow import walk
from vizlib.zoo.weights import fill_random

FUSED = [name for name in zoo_cases.ATTENTIVE if name not in zoo_cases.WRITTEN_OUT]
FAMILIES = ["token", "distilled", "eva_token", "beit", "t2t_performer", "t2t_transformer", "cct", "vit_lite", "pvt", "pvt_v2", "cvt"]


def sites_of(name: str):
    model = zoo_cases.model(name)
    return model, traces(model, zoo_cases.inputs(name))[0].attention


def after(name: str, ablation: HeadAblation) -> torch.Tensor:
    model, sites = sites_of(name)
    with ablated(sites, ablation), torch.inference_mode():
        return model(zoo_cases.inputs(name))[0]


def own_projections(name: str) -> list[tuple[torch.nn.Linear, int]]:
    """The output projection of each attention of a fresh copy of the model, in the order of execution, and the number of heads."""
    found = []
    for path, part in COPIES[name].named_modules():
        if path.endswith(("attn", "self_attn", "attn_pool")) and hasattr(part, "proj"):
            found.append((part.proj, getattr(part, "num_heads", 1)))
    return found


COPIES: dict[str, torch.nn.Module] = {}


def copy_of(name: str) -> torch.nn.Module:
    module = zoo_cases.ALL[name]()
    fill_random(module)
    COPIES[name] = module.eval()
    return COPIES[name]


@pytest.mark.parametrize("name", FUSED)
def test_nothing_switched_off_changes_no_bit(name):
    model, sites = sites_of(name)
    x = zoo_cases.inputs(name)
    with torch.inference_mode():
        plain = model(x)
        with ablated(sites, HeadAblation()):
            assert torch.equal(model(x), plain)
        with ablated(sites, HeadAblation(heads={(0, 0): "zero"})):
            model(x)
        assert torch.equal(model(x), plain)
    assert not [part for part in model.module.modules() if part._forward_hooks or part._forward_pre_hooks]


@pytest.mark.parametrize("name", ["token", "distilled", "beit", "t2t_transformer", "cct", "pvt", "pvt_v2", "cvt"])
def test_a_zeroed_head_is_a_zeroed_slice_of_the_output_projection(name):
    model, sites = sites_of(name)
    for number in range(len(sites)):
        module = copy_of(name)
        projection, heads = own_projections(name)[number]
        head, width = heads - 1, projection.in_features // heads
        with torch.no_grad():
            projection.weight[:, head * width : (head + 1) * width] = 0
        with torch.inference_mode():
            expected = model.run(module, zoo_cases.inputs(name))[0]
            untouched = model(zoo_cases.inputs(name))[0]
        found = after(name, HeadAblation(heads={(number, head): "zero"}))
        assert torch.allclose(found, expected, atol=1e-5)
        assert not torch.allclose(found, untouched, atol=1e-5)


def test_a_performer_without_its_one_head_is_the_skip_alone():
    module = copy_of("t2t_performer")
    with torch.no_grad():
        module.tokens_to_token.attention1.proj.weight.zero_()
    with torch.inference_mode():
        expected = module(zoo_cases.inputs("t2t_performer"))[0]
    assert torch.allclose(after("t2t_performer", HeadAblation(heads={(0, 0): "zero"})), expected, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("number", [0, -1])
def test_uniform_and_mean_heads_and_cut_keys_are_what_the_recorded_attention_says(name, number):
    model, sites = sites_of(name)
    number %= len(sites)
    site, x = sites[number], zoo_cases.inputs(name)
    cut = (0, site.k.shape[2] - 1)[: site.k.shape[2] - 1]
    with ablated(sites, HeadAblation(heads={(number, 0): "uniform"}, cut={number: cut})):
        changed = run(model, x, keep_values=True).lineage().sites
    weights = changed[number].weights()
    assert torch.equal(weights[..., list(cut)], torch.zeros_like(weights[..., list(cut)]))
    kept = [key for key in range(site.k.shape[2]) if key not in cut]
    assert torch.allclose(weights[0, :, kept], torch.full_like(weights[0, :, kept], 1 / len(kept)), atol=1e-6)
    # What comes before is untouched, and the output is that of the changed weights.
    for before in range(number):
        assert torch.equal(changed[before].q, sites[before].q)
    output = weights.double() @ changed[number].v[0].double()
    assert torch.allclose(output, changed[number].output[0].double(), atol=1e-5)
    if site.heads > 1:
        others = site.weights()[1:].clone()
        others[..., list(cut)] = 0
        assert torch.allclose(weights[1:], others / others.sum(-1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize("name", ["token", "pvt", "cct", "cvt", "t2t_transformer"])
def test_cutting_keys_is_a_mask_of_minus_infinity(name, monkeypatch):
    model, sites = sites_of(name)
    number, cut = len(sites) - 1, (1, 3) if name != "cvt" else (1,)
    real, calls = F.scaled_dot_product_attention, []

    def masked(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
        calls.append(1)
        mask = None
        if len(calls) - 1 == number:
            mask = torch.zeros(q.shape[-2], k.shape[-2])
            mask[:, list(cut)] = float("-inf")
        return real(q, k, v, mask, dropout_p, is_causal, **options)

    found = after(name, HeadAblation(cut={number: cut}))
    monkeypatch.setattr(F, "scaled_dot_product_attention", masked)
    with torch.inference_mode():
        expected = model(zoo_cases.inputs(name))[0]
    assert len(calls) == len(sites)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_mean_head_gives_every_query_the_same():
    _, sites = sites_of("token")
    module = copy_of("token")
    seen = []
    module.blocks[1].attn.proj.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0]))
    with ablated(sites, HeadAblation(heads={(1, 2): "mean"})), applying_overrides(), torch.inference_mode():
        module(zoo_cases.inputs("token"))
    with torch.inference_mode():
        module(zoo_cases.inputs("token"))
    changed, plain = (values.unflatten(-1, (3, 8)) for values in seen)
    assert torch.equal(changed[:, :, :2], plain[:, :, :2])
    assert torch.allclose(changed[:, :, 2], plain[:, :, 2].mean(1, keepdim=True).expand_as(changed[:, :, 2]), atol=1e-6)


def test_a_dropped_token_is_as_if_it_had_never_been_there():
    model, sites = sites_of("token")
    module: torch.nn.Module = model.module
    x = zoo_cases.inputs("token")
    with torch.inference_mode():
        tokens = module._pos_embed(module.patch_embed(x))
        left = [index for index in range(tokens.shape[1]) if index not in (5, 6)]
        expected = module.forward_head(module.norm(module.blocks(tokens[:, left])))[0]
    assert torch.allclose(after("token", HeadAblation(dropped=(5, 6))), expected, atol=1e-5)
    assert sites[0].query_grid.tokens == tokens.shape[1]


def test_dropped_cells_take_the_keys_that_lie_in_them():
    _, sites = sites_of("pvt")
    top = sites[-1].query_grid
    assert top.prefix == 1
    found = overrides(sites, HeadAblation(dropped=(0, 1)))
    for number, site in enumerate(sites):
        rows, columns = (side / above for side, above in zip(site.key_grid.shape, top.shape, strict=True))
        cells = {site.key_grid.prefix + y * site.key_grid.width + x for y in range(round(rows)) for x in range(round(columns))}
        cells |= {0} if site.key_grid.prefix else set()
        assert set(found[number].cut) == cells


@pytest.mark.parametrize("name", ["token", "t2t_performer", "t2t_transformer", "pvt", "cvt", "cct"])
def test_threads_do_not_see_each_others_surgery(name):
    model, sites = sites_of(name)
    x = zoo_cases.inputs(name)
    surgeries = [
        HeadAblation(),
        HeadAblation(heads={(0, 0): "zero"}),
        HeadAblation(cut={len(sites) - 1: (1,)}),
        HeadAblation(heads={(1, 0): "uniform"}),
    ]
    alone = [after(name, ablation) for ablation in surgeries]
    assert len({tuple(logits.tolist()) for logits in alone}) == len(surgeries)
    wrong, barrier = [], threading.Barrier(len(surgeries))

    def visit(index: int) -> None:
        for _ in range(5):
            with ablated(sites, surgeries[index]), torch.inference_mode():
                barrier.wait(60)  # all of them are inside their own block
                if not torch.equal(model(x)[0], alone[index]):
                    wrong.append(index)
                barrier.wait(60)

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(len(surgeries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_block_ends_after_an_error():
    model, sites = sites_of("token")
    x = zoo_cases.inputs("token")
    plain = model(x)
    with pytest.raises(ZeroDivisionError), ablated(sites, HeadAblation(heads={(0, 0): "zero"})):
        raise ZeroDivisionError
    assert torch.equal(model(x), plain)


@pytest.mark.parametrize("name", FAMILIES)
def test_before_is_the_plain_answer_and_its_rollout(name):
    model, _ = sites_of(name)
    x = zoo_cases.inputs(name)
    outcome = compare_ablation(model, x, HeadAblation(heads={(0, 0): "zero"}))
    with torch.inference_mode():
        assert torch.equal(outcome.before, model(x)[0])
    (found,) = explain(model, x, lambda logits: [], vizlib.methods()[0].resolve({}))[1]
    assert torch.allclose(outcome.map_before.input_map, found.input_map, atol=1e-12)
    for one in (outcome.map_before, outcome.map_after):
        assert float(one.input_map.sum()) + one.sink == pytest.approx(1, abs=1e-9)
    assert 0 < outcome.moved < 1
    assert not torch.equal(outcome.before, outcome.after)
    assert compare_ablation(model, x, HeadAblation()).moved == 0


def test_without_any_head_a_layer_passes_everything_on():
    model, sites = sites_of("token")
    whole = HeadAblation(heads={(number, head): "zero" for number in range(len(sites)) for head in range(3)})
    outcome = compare_ablation(model, zoo_cases.inputs("token"), whole)
    assert outcome.map_after.sink == pytest.approx(1)  # the class token never looked at a patch
    half = compare_ablation(model, zoo_cases.inputs("token"), HeadAblation(heads={(2, 0): "zero"}))
    done = run(model, zoo_cases.inputs("token"))
    with ablated(sites, HeadAblation(heads={(2, 0): "zero"})):
        done = run(model, zoo_cases.inputs("token"))
    lineage = done.lineage()
    matrices = [site.weights().double().mean(0) for site in lineage.sites]
    matrices[2] = lineage.sites[2].weights().double()[1:].mean(0)
    row = torch.zeros(1, 17, dtype=torch.float64)
    row[0, 0] = 1
    for matrix in reversed(matrices):
        row = 0.5 * row + 0.5 * row @ (matrix / matrix.sum(-1, keepdim=True))
    flow = walk(row[None], lineage.steps[3:], None)[-1]
    assert torch.allclose(half.map_after.input_map.flatten(), flow.rows[0, 0], atol=1e-9)


def test_gradient_passes_run_under_surgery_too():
    model, sites = sites_of("token")
    x = zoo_cases.inputs("token")
    with ablated(sites, HeadAblation(heads={(0, 1): "zero"})), torch.enable_grad():
        live = run_live(model, x)
    assert torch.allclose(live.logits[0], after("token", HeadAblation(heads={(0, 1): "zero"})), atol=1e-6)


@pytest.mark.parametrize(
    ("ablation", "words"),
    [
        (HeadAblation(heads={(9, 0): "zero"}), "attentions 0 to 2"),
        (HeadAblation(heads={(0, 7): "zero"}), "heads 0 to 2"),
        (HeadAblation(heads={(0, 0): "off"}), "zero, mean, uniform"),
        (HeadAblation(cut={0: (99,)}), "keys 0 to 16"),
        (HeadAblation(cut={1: tuple(range(17))}), "Nothing would be left"),
        (HeadAblation(dropped=(17,)), "tokens 0 to 16"),
    ],
)
def test_what_cannot_be_done_is_refused(ablation, words):
    _, sites = sites_of("token")
    with pytest.raises(vizlib.MethodError, match=words):
        overrides(sites, ablation)


def test_attention_that_is_written_out_is_refused():
    with pytest.raises(vizlib.MethodError, match="writes its attention out"):
        after("written_out", HeadAblation(heads={(0, 0): "zero"}))
