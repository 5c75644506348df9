"""Steps, sites and the recorder against explicit matrices and autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from timm.models.vision_transformer import VisionTransformer
from torch.overrides import TorchFunctionMode

import vizlib
from vizlib.explainers.methods.attention.rollout import RolloutRule
from vizlib.tracing.attention_site import AttentionSite, PerformerSite
from vizlib.tracing.outputs import listening, note
from vizlib.tracing.recorder import Recording, record
from vizlib.tracing.shared_copy import in_evaluation_mode, shared_copy
from vizlib.tracing.token_flow import Attention, Flow, FromCells, Mix, Routing, ToSink, WeightedWindows, Windows, walk
from vizlib.tracing.token_grid import Grid

RULE = RolloutRule(0.5, None)


def matrix(step: object) -> torch.Tensor:
    """A step's matrix, read off by pulling every unit row; learned tokens that end in the sink are its missing mass."""
    flow = step.pull(Flow.start(torch.eye(step.target.tokens)[None]), RULE)
    return torch.cat([flow.rows[0], flow.sink[0][:, None]], 1)


def site(queries: Grid, keys: Grid, heads: int = 2, images: int = 1, **more: object) -> AttentionSite:
    generator = torch.Generator().manual_seed(queries.tokens * 31 + keys.tokens)
    q, k = (torch.randn(images, heads, grid.tokens, 4, generator=generator) for grid in (queries, keys))
    return AttentionSite("site", 0, 0, queries, keys, q, k, 0.7, **more)


@pytest.mark.parametrize(
    ("source", "kernel", "stride", "padding"),
    [((8, 8), 2, 2, 0), ((9, 7), 3, 2, 1), ((16, 12), 7, 4, 2), ((10, 10), 7, 4, 3), ((11, 5), 4, 4, 0), ((6, 6), 3, 1, 1)],
)
def test_windows_are_the_jacobian_of_an_average_that_leaves_padding_out(
    source: tuple[int, int], kernel: int, stride: int, padding: int
) -> None:
    def average(cells: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(cells.view(1, 1, *source), kernel, stride, padding, count_include_pad=False).flatten()

    jacobian = torch.autograd.functional.jacobian(average, torch.zeros(source[0] * source[1]).double())
    sides = [(side + 2 * padding - kernel) // stride + 1 for side in source]
    step = Windows.strided(Grid(*source), Grid(*sides), (kernel,) * 2, (stride,) * 2, (padding,) * 2)
    assert torch.allclose(matrix(step)[:, :-1], jacobian, atol=1e-15)


@pytest.mark.parametrize(("source", "target"), [((8, 8), (4, 4)), ((7, 10), (7, 7)), ((5, 9), (3, 2))])
def test_adaptive_windows_are_the_jacobian_of_adaptive_pooling(source: tuple[int, int], target: tuple[int, int]) -> None:
    def pool(cells: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(cells.view(1, 1, *source), target).flatten()

    jacobian = torch.autograd.functional.jacobian(pool, torch.zeros(source[0] * source[1]).double())
    assert torch.allclose(matrix(Windows.adaptive(Grid(*source), Grid(*target)))[:, :-1], jacobian, atol=1e-15)


def test_weighted_windows_are_the_jacobian_of_a_convolution_scaled_to_rows_of_one() -> None:
    kernel = torch.rand(1, 1, 3, 3).double()

    def convolved(cells: torch.Tensor) -> torch.Tensor:
        return F.conv2d(cells.view(1, 1, 7, 6), kernel, stride=2, padding=1).flatten()

    jacobian = torch.autograd.functional.jacobian(convolved, torch.zeros(42).double())
    weights = kernel.view(1, 9, 1).expand(1, 9, 12)
    step = WeightedWindows(Grid(7, 6), Grid(4, 3), (3, 3), (2, 2), (1, 1), weights)
    assert torch.allclose(matrix(step)[:, :-1], jacobian / jacobian.sum(1, keepdim=True), atol=1e-14)


def test_windows_without_any_weight_are_even() -> None:
    grids = Grid(6, 6), Grid(3, 3)
    silent = WeightedWindows(*grids, (2, 2), (2, 2), (0, 0), torch.zeros(1, 4, 9))
    assert torch.allclose(matrix(silent), matrix(Windows.strided(*grids, (2, 2), (2, 2))))


def test_routing_is_the_jacobian_of_max_pooling_weighted_by_channel() -> None:
    values = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(1)).relu().double()
    values[..., :3, :3] = 0  # one window with nothing in it
    pooled, indices = F.max_pool2d(values, 3, 2, 1, return_indices=True)
    even = Windows.strided(Grid(8, 8), Grid(4, 4), (3, 3), (2, 2), (1, 1))
    step = Routing(Grid(8, 8), Grid(4, 4), indices.flatten(2), pooled.flatten(2), even)
    expected = torch.zeros(16, 64).double()
    for cell in range(16):
        total = pooled[0, :, cell // 4, cell % 4].sum()
        for channel in range(5):
            share = pooled[0, channel, cell // 4, cell % 4] / total if total else 0
            expected[cell, indices[0, channel, cell // 4, cell % 4]] += share
        if not total:
            expected[cell] = matrix(even)[cell, :-1]
    assert pooled[0, :, 0, 0].sum() == 0
    assert torch.allclose(matrix(step)[:, :-1], expected, atol=1e-14)


STEPS = {
    "square": Attention(site(Grid(3, 4, 1), Grid(3, 4, 1))),
    "reduced": Attention(site(Grid(4, 6), Grid(2, 3)), Windows.strided(Grid(4, 6), Grid(2, 3), (2, 2), (2, 2))),
    "strided_with_class_token": Attention(
        site(Grid(5, 5, 1), Grid(3, 3, 1)), Windows.strided(Grid(5, 5, 1), Grid(3, 3, 1), (3, 3), (2, 2), (1, 1))
    ),
    "pool": Attention(site(Grid(0, 0, 1), Grid(3, 3)), skip=False),
    "masked": Attention(site(Grid(3, 3), Grid(3, 3), bias=torch.full((9, 9), float("-inf")).triu(1))),
    "sink": ToSink(Grid(3, 3, 2)),
    "from_cells": FromCells(Grid(3, 3, 2)),
    "mix": Mix(0.3, Windows.strided(Grid(5, 4), Grid(5, 4), (3, 3), (1, 1), (1, 1))),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_row_stochastic(name: str) -> None:
    rows = matrix(STEPS[name])
    assert (rows >= 0).all()
    assert (rows.sum(1) - 1).abs().max() < 1e-12
    assert rows.shape == (STEPS[name].target.tokens, STEPS[name].source.tokens + 1)


def test_a_reduced_attention_is_residual_plus_attention_times_gather() -> None:
    step = STEPS["strided_with_class_token"]
    gather = torch.block_diag(torch.ones(1, 1).double(), matrix(Windows.strided(Grid(5, 5), Grid(3, 3), (3, 3), (2, 2), (1, 1)))[:, :-1])
    attention = step.site.weights().double().mean(0)
    attention = attention / attention.sum(1, keepdim=True)
    expected = 0.5 * torch.eye(26).double() + 0.5 * attention @ gather
    assert torch.allclose(matrix(step)[:, :-1], expected, atol=1e-9)


@pytest.mark.parametrize("budget", [1, 64, 1 << 19])
@pytest.mark.parametrize("fusion", [None, lambda weights: weights.amax(1)])
def test_the_size_of_the_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch, budget: int, fusion: object) -> None:
    chosen = site(Grid(5, 7, 1), Grid(3, 4, 1), heads=3, images=3)
    rows = torch.rand(3, 2, 36, generator=torch.Generator().manual_seed(0)).double()
    rows[:, :, ::3] = 0  # rows that carry nothing are left out
    monkeypatch.setattr("vizlib.tracing.attention_site._CPU_BLOCK", budget)
    weights = chosen.block_weights(slice(None), slice(None), None).double()
    fused = weights.mean(1) if fusion is None else weights.amax(1)
    assert torch.allclose(chosen.pull(rows, fusion), rows @ (fused / fused.sum(-1, keepdim=True)), atol=1e-7)


def test_performer_features_give_their_explicit_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.rand(2, 1, tokens, 5, generator=generator) for tokens in (12, 9))
    chosen = PerformerSite("p", 0, 0, Grid(3, 4), Grid(3, 3), q, k, 1.0)
    explicit = q[:, 0].double() @ k[:, 0].double().transpose(1, 2)
    explicit /= explicit.sum(-1, keepdim=True)
    rows = torch.rand(2, 3, 12, generator=generator).double()
    assert torch.allclose(chosen.pull(rows), rows @ explicit, atol=1e-14)
    assert torch.allclose(chosen.pull(rows, lambda weights: weights.mean(1)), rows @ explicit, atol=1e-6)
    assert torch.allclose(chosen.image(1).weights()[0].double(), explicit[1], atol=1e-6)


class _Frozen(TorchFunctionMode):
    """Attention patterns that no gradient flows through."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            args = (args[0].detach(), args[1].detach(), *args[2:])
        return func(*args, **(kwargs or {}))


def test_a_rollout_is_the_jacobian_where_values_travel_through_identity_maps() -> None:
    module = VisionTransformer(img_size=32, patch_size=8, embed_dim=3, depth=3, num_heads=1, num_classes=2, norm_layer=torch.nn.Identity)
    zoo.fill_random(module)
    module = module.eval().double()
    with torch.no_grad():
        for channel in range(3):
            module.patch_embed.proj.weight[channel] = 0
            module.patch_embed.proj.weight[channel, channel] = 1 / 64
        for block in module.blocks:
            block.attn.qkv.weight[6:] = torch.eye(3)
            block.attn.qkv.weight[:6] *= 3
            block.attn.proj.weight.copy_(torch.eye(3))
            block.mlp.fc2.weight.zero_()
    x = zoo.inputs("token").double()

    def read_out(pixels: torch.Tensor) -> torch.Tensor:
        with _Frozen():
            return module.forward_features(pixels)[0, 0]

    jacobian = torch.autograd.functional.jacobian(read_out, x)[:, 0]
    explained = vizlib.explain(vizlib.wrap(module), x[0])
    for channel in range(3):
        # A block adds attention to identity: twice the row-stochastic step.
        assert torch.allclose(torch.from_numpy(explained.input_map), jacobian[channel, channel] / 2**3, atol=1e-12)
    assert explained.input_map.std() > 0


def test_the_walk_never_loses_mass() -> None:
    rows = torch.rand(2, 3, 10, generator=torch.Generator().manual_seed(3)).double()
    steps = [
        Attention(site(Grid(3, 3, 1), Grid(3, 3, 1), images=2)),
        ToSink(Grid(3, 3, 1)),
        Windows.strided(Grid(9, 9), Grid(3, 3), (3, 3), (3, 3)),
    ]
    for flow in walk(rows, steps, RULE):
        assert torch.allclose(flow.rows.sum(-1) + flow.sink, rows.sum(-1), atol=1e-14)


def test_notes_reach_only_the_listener_of_their_thread() -> None:
    recording = Recording()
    note("nobody", value=1)
    with listening(recording):
        note("a", kind="x", value=1)
        note("a", more=2)
    note("after", value=1)
    assert recording.notes == {"a": {"kind": "x", "value": 1, "more": 2}}
    assert list(recording.of_kind("x")) == ["a"]


def test_a_causal_and_a_masked_attention_are_recorded_as_they_ran() -> None:
    q = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    allowed = torch.ones(5, 5, dtype=torch.bool).tril(1)
    for options in ({"is_causal": True}, {"attn_mask": allowed}, {"scale": 0.1}):
        seen = record(lambda options=options: F.scaled_dot_product_attention(q, q, q, **options), keep_values=True).calls[0]
        rows = AttentionSite.of(seen, "s", 0, 0, Grid(1, 5), Grid(1, 5)).weights()
        assert torch.allclose(rows @ q[0], seen.output[0], atol=1e-6)


def test_a_shadow_shares_every_weight_and_no_hook_or_mode() -> None:
    module = zoo.ALL["resnet"]()
    copied = shared_copy(module.train())
    copied.eval().layer1.register_forward_hook(lambda *_: None)
    assert all(first is second for first, second in zip(module.parameters(), copied.parameters(), strict=True))
    assert all(first is second for first, second in zip(module.buffers(), copied.buffers(), strict=True))
    assert module.training
    assert not module.layer1._forward_hooks
    assert in_evaluation_mode(module) is not module
    assert in_evaluation_mode(module.eval()) is module


def test_contributions_are_the_shares_of_a_positive_linear_map() -> None:
    from vizlib.zoo.adapters.windows import Window, spread

    weight, x = (
        torch.rand(1, 1, 9, generator=torch.Generator().manual_seed(0)),
        torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(1)),
    )

    def convolved(pixels: torch.Tensor) -> torch.Tensor:
        return F.conv2d(pixels, weight.view(1, 1, 3, 3), stride=2, padding=1).flatten()

    jacobian = torch.autograd.functional.jacobian(convolved, x)[:, 0, 0].flatten(1)
    shares = jacobian * x.flatten() / convolved(x)[:, None]
    step = spread("contribution", Grid(6, 6), Grid(3, 3), Window.square(3, 2, 1), weight, x)
    assert torch.allclose(matrix(step)[:, :-1], shares.double(), atol=1e-6)
    by_weight = spread("weight", Grid(6, 6), Grid(3, 3), Window.square(3, 2, 1), weight)
    assert torch.allclose(matrix(by_weight)[:, :-1], (jacobian / jacobian.sum(1, keepdim=True)).double(), atol=1e-6)
