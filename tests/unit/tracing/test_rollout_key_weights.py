"""Keys weighed by the length of their values and by the share of their heads, against whole matrices and autograd on written-out blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from explicit import chain, whole
from timm.models.cait import Cait

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.explainers.methods.attention.rollout import RolloutRule
from vizlib.explainers.parts.artifact_tokens import Without
from vizlib.explainers.parts.key_weights import head_shares, value_lengths
from vizlib.passes.backward import run_with_gradient
from vizlib.passes.forward import run
from vizlib.tracing import attention_site
from vizlib.tracing.attention_gradients import slope_sums
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.token_flow import Attention
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.weights import fill_random

CLASS = 2


def scaled(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.sum(-1, keepdim=True)


def half_residual(step, weights: torch.Tensor, gather: torch.Tensor) -> torch.Tensor:
    moved = whole(step, weights) @ gather
    return 0.5 * torch.eye(*moved.shape[1:]).double() + 0.5 * moved if step.skip else moved


def matches(explanations: list[vizlib.Explanation], maps: torch.Tensor, sinks: torch.Tensor) -> None:
    for explained, expected, sink in zip(explanations, maps, sinks, strict=True):
        assert np.abs(explained.input_map - expected.numpy()).max() < 1e-9
        assert abs(explained.sink - float(sink)) < 1e-9
        assert abs(explained.input_map.sum() + explained.sink - 1) < 1e-9


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
def test_a_rollout_by_value_lengths_equals_the_product_of_whole_matrices(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    sites = run(model, x, keep_values=True).lineage().sites

    def attention(number: int, step, gather: torch.Tensor) -> torch.Tensor:
        lengths = sites[number].v.square().sum(-1).sqrt()
        assert lengths.std() > 1e-6
        weights = step.site.block_weights(slice(None), slice(None), None)
        return half_residual(step, scaled(torch.einsum("bhnm,bhm->bnm", weights, lengths)), gather)

    matches(vizlib.explain(model, x, key_weights="value_norm"), *chain(model, x, attention))


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_rollout_by_head_weights_equals_the_product_of_whole_matrices(name: str, norm: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    sites = run_with_gradient(model, x, lambda logits: logits[:, CLASS].sum()).lineage().sites

    def attention(number: int, step, gather: torch.Tensor) -> torch.Tensor:
        slopes = sites[number].gradient @ sites[number].v.transpose(-2, -1)
        of_image = slopes.unflatten(0, (len(x), -1)).transpose(1, 2).flatten(2)  # (B, h, all windows, queries and keys)
        norms = of_image.abs().sum(-1) if norm == "l1" else of_image.square().sum(-1).sqrt()
        heads = scaled(norms).repeat_interleave(len(slopes) // len(x), 0)
        weights = step.site.block_weights(slice(None), slice(None), None)
        return half_residual(step, scaled(torch.einsum("bhnm,bh->bnm", weights, heads)), gather)

    matches(vizlib.explain(model, x, "gradient_rollout", CLASS, head_weights=norm), *chain(model, x, attention))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_head_weights_are_the_norms_that_autograd_gives_of_written_out_attention(norm: str) -> None:
    model, x = zoo.model("token", torch.float64), zoo.inputs("token").double()
    module, matrices = model.module, []
    tokens = module._pos_embed(module.patch_embed(x))
    for block in module.blocks:
        q, k, v = block.attn.qkv(block.norm1(tokens)).unflatten(-1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
        matrices.append((q @ k.transpose(-2, -1) * 8**-0.5).softmax(-1))
        tokens = tokens + block.attn.proj((matrices[-1] @ v).transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(block.norm2(tokens))
    slopes = torch.autograd.grad(module.head(module.norm(tokens)[:, 0])[0, CLASS], matrices)
    sums = [slope[0].abs().sum((1, 2)) if norm == "l1" else slope[0].square().sum((1, 2)).sqrt() for slope in slopes]
    row = torch.eye(17).double()[0]
    for matrix, of_head in zip(reversed(matrices), reversed(sums), strict=True):
        weighed = (of_head / of_head.sum())[:, None, None] * matrix[0].detach()
        row = 0.5 * row + 0.5 * row @ weighed.sum(0)
    explained = vizlib.explain(model, x[0], "gradient_rollout", CLASS, head_weights=norm)
    cells = explained.input_map.reshape(4, 8, 4, 8).sum((1, 3)).ravel()
    assert np.abs(cells - row[1:].numpy()).max() < 1e-9
    assert abs(explained.sink - float(row[0])) < 1e-9
    other = vizlib.explain(model, x[0], "gradient_rollout", CLASS + 1, head_weights=norm)
    assert np.abs(other.input_map - explained.input_map).sum() > 1e-3  # another class has other heads


def site(seed: int = 0, images: int = 2, heads: int = 3, queries: int = 7, keys: int = 5) -> AttentionSite:
    generator = torch.Generator().manual_seed(seed)
    q, gradient = (torch.randn(images, heads, queries, 4, generator=generator) for _ in range(2))
    k, v = (torch.randn(images, heads, keys, 4, generator=generator) for _ in range(2))
    return AttentionSite("here", 0, 0, Grid(1, queries), Grid(1, keys), q, k, 0.5, None, v, None, gradient)


def test_weighed_keys_are_those_of_each_head_also_in_small_blocks_and_without_hidden_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    one, rows = site(), torch.rand(2, 1, 7, dtype=torch.float64)
    weights, hidden = torch.rand(2, 3, 5), torch.zeros(2, 5, dtype=torch.bool)
    hidden[1, 2] = True
    blocks = one.block_weights(slice(None), slice(None), None).double() * weights[:, :, None].double()
    for fuse, fused in ((None, blocks.mean(1)), (lambda block: block.amax(1), blocks.amax(1))):
        for covered in (None, hidden):
            expected = rows @ scaled(fused if covered is None else fused.masked_fill(covered[:, None], 0))
            assert torch.allclose(one.pull(rows, fuse, covered, weights), expected, atol=1e-6)
            monkeypatch.setattr(attention_site, "_CPU_BLOCK", 32)
            assert torch.allclose(one.pull(rows, fuse, covered, weights), expected, atol=1e-6)
            monkeypatch.undo()


def test_a_row_of_which_the_weights_leave_nothing_keeps_its_own() -> None:
    one, rows = site(), torch.rand(2, 1, 7, dtype=torch.float64)
    weights = torch.ones(2, 3, 5)
    weights[1] = 0
    assert torch.allclose(one.pull(rows, None, None, weights), one.pull(rows), atol=1e-6)
    silent = replace(one, gradient=torch.zeros_like(one.gradient))
    assert torch.equal(head_shares(silent, 2, "l2"), torch.full((2, 3, 1), 1 / 3))


def test_sums_of_slopes_need_no_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    one = site(queries=40, keys=30)
    slopes = (one.gradient @ one.v.transpose(-2, -1)).double()
    monkeypatch.setattr(attention_site, "_CPU_BLOCK", 700)
    assert torch.allclose(slope_sums(one, 1), slopes.abs().sum((2, 3)), rtol=1e-5)
    assert torch.allclose(slope_sums(one, 2), slopes.square().sum((2, 3)), rtol=1e-5)


def test_windows_of_one_image_share_the_weights_of_their_heads() -> None:
    one = site(images=6)
    norms = (one.gradient @ one.v.transpose(-2, -1)).double().unflatten(0, (2, 3)).square().sum((1, 3, 4)).sqrt()
    assert torch.allclose(head_shares(one, 2, "l2").double(), scaled(norms).repeat_interleave(3, 0)[..., None], atol=1e-6)
    alone = replace(one, **{part: getattr(one, part)[:, :1] for part in ("q", "k", "v", "gradient")})
    assert torch.equal(head_shares(alone, 2, "l1"), torch.ones(6, 1, 1))


def test_artifact_tokens_stay_out_of_a_walk_by_value_lengths() -> None:
    one, rows = site(queries=6, keys=6), torch.rand(2, 1, 6, dtype=torch.float64)
    step = Attention(replace(one, query_grid=Grid(2, 3), key_grid=Grid(2, 3)))
    odd = torch.zeros(2, 6, dtype=torch.bool)
    odd[0, 4] = True
    lengths = one.v.double().norm(dim=-1)
    weighed = (one.block_weights(slice(None), slice(None), None).double() * lengths[:, :, None]).sum(1)
    expected = rows @ scaled(weighed.masked_fill(odd[:, None], 0))
    pulled = Without(RolloutRule(0.5, None, by_value=True), {(2, 3): odd}).attend(step, rows)
    assert torch.allclose(pulled, expected, atol=1e-6)
    assert pulled[0, 0, 4] == 0
    assert pulled[1, 0, 4] > 0


def test_mixed_heads_and_unknown_values_are_refused_in_a_sentence() -> None:
    module = Cait(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=7)
    fill_random(module)
    model, x = vizlib.wrap(module.eval(), input_size=(32, 32)), zoo.inputs("token")
    for method, options in (("rollout", {"key_weights": "value_norm"}), ("gradient_rollout", {"head_weights": "l1"})):
        assert vizlib.explain(model, x[0], method).input_map.any()
        with pytest.raises(vizlib.MethodError, match=r"mixes its heads after the softmax, so .*; take \w+='(even|none)'\.$"):
            vizlib.explain(model, x[0], method, **options)
    for v in (None, torch.ones(2, 1, 5, 4)):
        with pytest.raises(vizlib.MethodError, match="cannot be told key by key"):
            value_lengths(replace(site(), v=v))


def test_the_defaults_are_what_they_were_and_choices_are_checked() -> None:
    chosen = {name: {option.name: option.default for option in METHODS[name].options} for name in ("rollout", "gradient_rollout")}
    assert chosen["rollout"]["key_weights"] == "even"
    assert chosen["gradient_rollout"]["head_weights"] == "none"
    model, x = zoo.model("token"), zoo.inputs("token")
    with pytest.raises(vizlib.MethodError, match="even, value_norm"):
        vizlib.explain(model, x, key_weights="norm")
    with pytest.raises(vizlib.MethodError, match="none, l1, l2"):
        vizlib.explain(model, x, "gradient_rollout", head_weights="max")
    prior = vizlib.explain(model, x[0], show="prior", key_weights="value_norm")
    assert np.array_equal(prior.input_map, vizlib.explain(model, x[0], show="prior").input_map)


def test_a_saved_map_by_these_weights_is_made_again(tmp_path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (70, 64, 3), dtype=np.uint8)
    for method, options in (("rollout", {"key_weights": "value_norm"}), ("gradient_rollout", {"head_weights": "l2"})):
        saved = vizlib.explain(vizlib.load("t2t_tiny50"), photo, method, **options)
        assert vizlib.replay(saved.save(tmp_path / method)).input_map.tobytes() == saved.input_map.tobytes()
