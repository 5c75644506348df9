"""What must always hold, over every kind of model and every method that fits it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.passes.forward import run
from vizlib.tracing.windowed_attention import WindowedSite

WEIGHED = ("token", "pool", "t2t_performer", "cct", "pvt_v2", "swin")
CALLS = [
    *((name, method, {}) for name in zoo.ATTENTIVE for method in ("rollout", "attention", "gradient_rollout", "relevance")),
    *((name, "rollout", {"residual_weight": "norms"}) for name in zoo.ATTENTIVE),
    *((name, "rollout", {"key_weights": "value_norm"}) for name in WEIGHED),
    *((name, "gradient_rollout", {"head_weights": "l1"}) for name in WEIGHED),
    *((name, "legrad", {}) for name in [*zoo.TRANSFORMERS, "cct", "compact_vit", "vit_lite"]),
    *((name, "grad_cam", {}) for name in zoo.CONVOLUTIONS),
    *((name, "balanced", {}) for name in ("pool", "t2t_performer", "cvt", "swin")),
    *((name, "relevance", {"gradient": "attn"}) for name in ("token", "swin")),
]
each_call = pytest.mark.parametrize(
    ("name", "method", "options"), CALLS, ids=["-".join([name, method, *options.values()]) for name, method, options in CALLS]
)


def state_of(module: torch.nn.Module) -> dict:
    """Everything that a call must leave as it was."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "values": {name: (id(tensor), tensor._version, tensor.detach().float().sum().item()) for name, tensor in tensors.items()},
        "grads": {name: None if tensor.grad is None else tensor.grad.clone() for name, tensor in module.named_parameters()},
        "requires": {name: tensor.requires_grad for name, tensor in module.named_parameters()},
        "modes": [part.training for part in module.modules()],
        "hooks": [[list(getattr(part, kind)) for kind in hooks] for part in module.modules()],
        "random": torch.random.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002  the global state is what must not move
        "grad_enabled": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "flash": torch.backends.cuda.flash_sdp_enabled(),
    }


@pytest.mark.parametrize("name", zoo.ALL)
def test_recorded_and_plain_passes_give_the_same_bits(name: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name, 2)
    before = state_of(model.module)
    # Without gradients, as every answer is computed: torch picks another attention kernel where a bias wants a gradient.
    with torch.no_grad():
        plain = model.module(x)
        assert torch.equal(model(x), plain)
    assert torch.equal(run(model, x).logits, plain)
    assert torch.equal(run(model, x, keep_values=True, keep_states=True).logits, plain)
    assert state_of(model.module) == before


@each_call
def test_a_call_leaves_everything_as_it_was(name: str, method: str, options: dict) -> None:
    model = zoo.model(name)
    before = state_of(model.module)
    vizlib.explain(model, zoo.inputs(name)[0], method, **options)
    vizlib.trace(model, zoo.inputs(name)[0])
    assert state_of(model.module) == before


@each_call
def test_an_error_inside_leaves_everything_as_it_was(name: str, method: str, options: dict) -> None:
    model = zoo.model(name)
    before = state_of(model.module)

    def broken(logits: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        vizlib.explain(model, zoo.inputs(name)[0], method, target=broken) if method == "grad_cam" else _explode(
            model, name, method, options
        )
    assert state_of(model.module) == before


def _explode(model: vizlib.Model, name: str, method: str, options: dict) -> None:
    # A hook of the user's own that raises in the middle of the pass, then is taken off again.
    part = [part for part in model.module.modules() if isinstance(part, torch.nn.LayerNorm)][-2]
    handle = part.register_forward_hook(lambda *_: 1 / 0)
    try:
        vizlib.explain(model, zoo.inputs(name)[0], method, **options)
    finally:
        handle.remove()


@pytest.mark.parametrize("name", zoo.ALL)
def test_a_module_in_training_mode_is_read_as_in_evaluation_and_keeps_its_mode(name: str) -> None:
    module = zoo.ALL[name]()
    module.load_state_dict(zoo.model(name).module.state_dict())
    module.train()
    live = vizlib.wrap(module, input_size=zoo.model(name).transform.size)
    before = state_of(module)
    method = live.card.methods[0]
    explanation, reference = vizlib.explain(live, zoo.inputs(name)[0], method), vizlib.explain(zoo.model(name), zoo.inputs(name)[0], method)
    assert np.array_equal(explanation.input_map, reference.input_map)
    assert state_of(module) == before


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
def test_rows_sum_to_one_and_give_the_modules_own_output(name: str) -> None:
    model = zoo.model(name)
    trace = vizlib.trace(model, zoo.inputs(name)[0])
    assert len(trace.attention) == zoo.SITES.get(name, 3)
    for site in trace.attention:
        weights = site.weights()
        assert weights.shape == (site.heads, site.query_grid.tokens, site.key_grid.tokens)
        assert (weights.sum(-1) - 1).abs().max() < 1e-6
        if isinstance(site, WindowedSite):  # each window has its own values
            inside = site.block_weights(slice(None), slice(None), None)
            assert (inside @ site.v - site.output).abs().max() < 1e-5
        elif site.v is not None:
            assert (weights @ site.v[0] - site.output[0]).abs().max() < 1e-5
        some = site.weights(rows=[0, -1], heads=[-1])
        assert torch.allclose(some, weights[[-1]][:, [0, -1]], atol=1e-6)


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
@pytest.mark.parametrize("weight", [0.5, "norms"])
def test_a_rollout_is_a_distribution(name: str, weight: float | str) -> None:
    explained = vizlib.explain(zoo.model(name), zoo.inputs(name)[0], residual_weight=weight)
    assert explained.input_map.dtype == np.float64
    assert (explained.input_map >= 0).all()
    assert abs(explained.input_map.sum() + explained.sink - 1) < 1e-9
    assert explained.input_map.shape == zoo.model(name).transform.size
    assert explained.input_map.std() > 0


@pytest.mark.parametrize("name", zoo.TRANSFORMERS)
@pytest.mark.parametrize(
    "options",
    [{}, {"head_fusion": "max"}, {"head_fusion": "min"}, {"discard_ratio": 0.6}, {"residual_weight": 0.2}, {"residual_weight": 1.0}],
)
def test_a_rollout_equals_the_product_of_explicit_matrices(name: str, options: dict) -> None:
    model = zoo.model(name)
    explained = vizlib.explain(model, zoo.inputs(name)[0], "rollout", **options)
    trace = vizlib.trace(model, zoo.inputs(name)[0])
    row = explicit_rollout(trace, **options)
    prefix = trace.attention[0].query_grid.prefix
    assert abs(row[:prefix].sum() - explained.sink) < 1e-6
    cells = cell_sums(explained.input_map, trace.attention[0].query_grid.shape)
    assert np.abs(cells - row[prefix:].numpy()).max() < 1e-6


def explicit_rollout(
    trace: vizlib.Trace, head_fusion: str = "mean", residual_weight: float = 0.5, discard_ratio: float = 0.0
) -> torch.Tensor:
    """The read-out's row times whole matrices, written without any of the library's walk."""
    blocks = [site for site in trace.attention if site.name != "attn_pool"]
    row = trace.readout.double()
    fuse = {"mean": lambda w: w.mean(0), "max": lambda w: w.amax(0), "min": lambda w: w.amin(0)}[head_fusion]

    def matrix(site: vizlib.AttentionSite) -> torch.Tensor:
        rows = fuse(site.weights().double())
        for row in rows:
            row[row.argsort()[: int(discard_ratio * len(row))]] = 0
        return rows / rows.sum(-1, keepdim=True)

    if trace.attention[-1].name == "attn_pool":
        pooled = row @ matrix(trace.attention[-1])
        row = torch.cat([torch.zeros(blocks[0].query_grid.tokens - len(pooled)).double(), pooled])
    for site in reversed(blocks):
        row = row @ (residual_weight * torch.eye(site.query_grid.tokens).double() + (1 - residual_weight) * matrix(site))
    return row


def cell_sums(input_map: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    height, width = input_map.shape
    rows, columns = -(-height // grid[0] // 8) * 8, -(-width // grid[1] // 8) * 8
    padded = np.pad(input_map, ((0, rows * grid[0] - height), (0, columns * grid[1] - width)))
    return padded.reshape(grid[0], rows, grid[1], columns).sum((1, 3)).ravel()


@pytest.mark.parametrize("name", zoo.TRANSFORMERS)
def test_with_the_residual_alone_nothing_moves(name: str) -> None:
    explained = vizlib.explain(zoo.model(name), zoo.inputs(name)[0], residual_weight=1.0)
    if name in ("token", "distilled", "registers", "eva_token", "qk_norm", "post_norm", "parallel", "wide", "written_out", "padded"):
        assert explained.sink == 1
        assert not explained.input_map.any()
        assert any("learned tokens" in note for note in explained.notes)
    elif "pool" not in name:
        share = explained.input_map.sum() / explained.input_map.size
        assert np.allclose(explained.input_map, share)


@each_call
def test_many_threads_on_one_model_give_what_one_gives(name: str, method: str, options: dict) -> None:
    model = zoo.model(name)
    xs = [zoo.inputs(name, seed=seed) for seed in range(4)]
    alone = [vizlib.explain(model, x[0], method, **options).input_map for x in xs]
    start = threading.Barrier(6)

    def many(offset: int) -> list[np.ndarray]:
        start.wait()
        return [vizlib.explain(model, xs[(offset + turn) % 4][0], method, **options).input_map for turn in range(4)]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(many, range(6)))
    for offset, maps in enumerate(results):
        for turn, input_map in enumerate(maps):
            assert np.array_equal(input_map, alone[(offset + turn) % 4])


@each_call
def test_a_list_gives_what_each_image_gives(name: str, method: str, options: dict) -> None:
    model = zoo.model(name)
    xs = zoo.inputs(name, 3)
    together = vizlib.explain(model, xs, method, **options)
    for explanation, x in zip(together, xs, strict=True):
        alone = vizlib.explain(model, x, method, **options)
        assert explanation.target == alone.target
        assert np.allclose(explanation.input_map, alone.input_map, rtol=1e-3, atol=1e-6)


@each_call
def test_the_same_twice_is_the_same_bytes(name: str, method: str, options: dict) -> None:
    model = zoo.model(name)
    first, second = (vizlib.explain(model, zoo.inputs(name)[0], method, **options) for _ in range(2))
    assert first.input_map.tobytes() == second.input_map.tobytes()
    assert first.map.tobytes() == second.map.tobytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["token", "pool", "eva_mean", "beit"])
@pytest.mark.parametrize("weight", [0.5, "norms"])
def test_other_precisions_work(name: str, dtype: torch.dtype, weight: float | str) -> None:
    explained = vizlib.explain(zoo.model(name, dtype), zoo.inputs(name)[0], residual_weight=weight)
    assert abs(explained.input_map.sum() + explained.sink - 1) < 1e-9
    full = vizlib.explain(zoo.model(name), zoo.inputs(name)[0], residual_weight=weight)
    assert np.abs(explained.input_map - full.input_map).sum() < 0.05


@pytest.mark.parametrize("name", zoo.TRANSFORMERS)
def test_the_target_does_not_change_a_map_that_is_not_class_specific(name: str) -> None:
    model = zoo.model(name)
    first, second = (vizlib.explain(model, zoo.inputs(name)[0], target=target) for target in (1, (2, 4)))
    assert np.array_equal(first.input_map, second.input_map)
    assert (first.target, second.target, second.label) == (1, (2, 4), "2 minus 4")


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
@pytest.mark.parametrize("weight", [0.5, "norms"])
def test_the_prior_is_the_rollout_of_even_attention_and_the_lift_their_ratio(name: str, weight: float | str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    rollout, prior, lift = (vizlib.explain(model, x[0], show=show, residual_weight=weight) for show in ("rollout", "prior", "lift"))
    assert abs(prior.input_map.sum() + prior.sink - 1) < 1e-9
    reached = prior.input_map > 0
    assert np.allclose(lift.input_map[reached] * prior.input_map[reached], rollout.input_map[reached], atol=1e-12)
    if name not in ("beit", "cct", "parallel"):  # a bias or a routing comes from elsewhere than q and k, or q from a joint matrix
        even = zoo.evened(name)
        walks = [vizlib.explain(even, x[0], show=show, residual_weight=weight).input_map for show in ("rollout", "prior")]
        assert np.allclose(*walks, atol=1e-7)


def test_the_prior_of_a_pyramid_of_partitions_is_constant() -> None:
    prior = vizlib.explain(zoo.model("pvt"), zoo.inputs("pvt")[0], show="prior").input_map
    assert np.ptp(prior) < 1e-15


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
def test_the_stages_are_the_same_walk_from_coarse_to_fine(name: str) -> None:
    explained = vizlib.explain(zoo.model(name), zoo.inputs(name)[0])
    sizes = [stage.size for stage in explained.stages]
    assert sizes
    assert sizes == sorted(sizes)
    for stage in explained.stages:
        assert stage.sum() <= 1 + 1e-12
    # The last grid above the pixels holds what the pixels hold.
    assert abs(explained.stages[-1].sum() - explained.input_map.sum()) < 1e-9


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
@pytest.mark.parametrize("weight", [0.5, "norms"])
def test_a_token_walks_like_the_readout_that_looks_at_it_alone(name: str, weight: float | str) -> None:
    model, x, options = zoo.model(name), zoo.inputs(name), {"residual_weight": weight}
    last = vizlib.explain(model, x[0], token=3, **options)
    assert abs(last.input_map.sum() + last.sink - 1) < 1e-9
    readout = vizlib.trace(model, x[0]).readout
    if "pool" not in name:
        # The read-out's map is the mean of its tokens' maps by the read-out's weights.
        parts = [(float(share), vizlib.explain(model, x[0], token=index, **options)) for index, share in enumerate(readout) if share > 0]
        total = sum(share * part.input_map for share, part in parts)
        assert np.allclose(total, vizlib.explain(model, x[0], **options).input_map, atol=1e-12)
    with pytest.raises(vizlib.MethodError, match="there is no 9999"):
        vizlib.explain(model, x[0], token=9999)


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
@pytest.mark.parametrize("windows", ["weight", "contribution"])
def test_weighed_windows_are_distributions_that_keep_every_cells_mass(name: str, windows: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    even = vizlib.explain(model, x[0])
    if name == "padded":
        with pytest.raises(vizlib.MethodError, match="take uniform"):
            vizlib.explain(model, x[0], windows=windows)
        return
    weighed = vizlib.explain(model, x[0], windows=windows)
    assert abs(weighed.input_map.sum() + weighed.sink - 1) < 1e-9
    assert (weighed.input_map >= 0).all()
    assert not np.allclose(weighed.input_map, even.input_map, rtol=1e-3, atol=0)
    if name in zoo.TRANSFORMERS:
        # Nothing but the patches' insides changes: each patch keeps its mass.
        assert np.allclose(weighed.stages[-1], even.stages[-1], atol=1e-12)
        blocks = weighed.input_map.reshape(weighed.stages[-1].shape[0], 8, -1, 8).sum((1, 3))
        assert np.allclose(blocks, weighed.stages[-1], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in zoo.TRANSFORMERS if "pool" not in name])
def test_the_readout_weighs_the_tokens_that_the_head_reads(name: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    readout = vizlib.trace(model, x[0]).readout
    with torch.no_grad():
        tokens = model.module.forward_features(x)
        read = model.module.fc_norm(readout.float() @ tokens[0])
        assert torch.allclose(read, model.module.forward_head(tokens, pre_logits=True)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["cct", "compact_vit"])
def test_sequence_pooling_is_read_as_its_own_weights(name: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    readout = vizlib.trace(model, x[0]).readout
    outputs: dict[str, torch.Tensor] = {}
    handle = model.module.classifier.norm.register_forward_hook(lambda _, __, output: outputs.update(tokens=output))
    with torch.no_grad():
        pooled = model.module.forward_features(x)
    handle.remove()
    assert torch.allclose(readout.float() @ outputs["tokens"][0], pooled[0], atol=1e-5)


@pytest.mark.parametrize("method", ["rollout", "relevance", "grad_cam", "saliency"])
@pytest.mark.parametrize("name", ["vit_tiny50", "cvt_tiny50", "pvt_tiny50", "cct_tiny50", "t2t_tiny50", "resnet_tiny50"])
def test_another_number_of_torch_threads_changes_the_last_digits_at_most(name: str, method: str) -> None:
    """What the README promises: the same bytes with as many threads, and the same to float32's rounding with another number."""
    model = vizlib.load(name)
    if method not in model.card.methods:
        pytest.skip(f"{method} does not fit {name}")
    x = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    maps = []
    try:
        for number in (1, 1, 2, 2):
            torch.set_num_threads(number)
            maps.append(vizlib.explain(model, x, method, 3).input_map)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[2], maps[3])
    assert np.allclose(maps[0], maps[2], atol=5e-6 * np.abs(maps[0]).max(), rtol=0)
