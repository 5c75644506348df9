"""Attention in shifted windows, against the whole matrix of a Swin block computed from its own parts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from largest_tensor import LargestTensor
from timm.models.swin_transformer import SwinTransformer

import vizlib
from vizlib.passes.forward import run
from vizlib.tracing.token_flow import Attention
from vizlib.tracing.token_grid import Grid
from vizlib.tracing.windowed_attention import Layout

SWINS = ["swin", "swin_padded", "swin_v2"]


def whole_matrix(block: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The mean over heads of what each token of a state (1, h, w, C) takes from each, through the block's own shifts and windows.

    The values are replaced by one-hot numbers of the tokens, so what comes out is where it came from; padding is missing mass.
    """
    frozen, height, width = copy.deepcopy(block), *x.shape[1:3]
    tokens = height * width
    weights: list[torch.Tensor] = []
    attention = frozen.attn
    attention.softmax.register_forward_hook(lambda _, __, output: weights.append(output))
    frozen(x)
    pattern = weights[0].mean(1)  # (windows, n, n)

    def carry(windows: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return pattern @ windows

    attention.forward = carry
    numbers = torch.eye(tokens, dtype=x.dtype).view(1, height, width, tokens)
    return frozen._attn(numbers)[0].flatten(0, 1)


def states(model: vizlib.Model, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What goes into each block, by its path."""
    module, kept = copy.deepcopy(model.module), {}
    for name, part in module.named_modules():
        if name.startswith("layers.") and name.split(".")[-2] == "blocks":
            part.register_forward_pre_hook(lambda _, args, name=name: kept.update({name: args[0].detach()}))
    with torch.no_grad():
        module(x)
    return kept


@pytest.mark.parametrize("name", SWINS)
def test_a_rollout_equals_the_product_of_the_blocks_own_matrices(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name).double()
    kept = states(model, x)
    height, width = x.shape[2] // 4, x.shape[3] // 4
    row, sink = torch.full((height // 2 * (width // 2),), 4 / (height * width)).double(), 0.0
    row /= row.sum()
    with torch.no_grad():
        for stage in (1, 0):
            for index in (1, 0):
                moved = row @ whole_matrix(model.module.layers[stage].blocks[index], kept[f"layers.{stage}.blocks.{index}"])
                sink += 0.5 * float(row.sum() - moved.sum())
                row = 0.5 * row + 0.5 * moved
            if stage:
                row = row.view(height // 2, width // 2).repeat_interleave(2, 0).repeat_interleave(2, 1).flatten() / 4
    explained = vizlib.explain(model, x[0])
    cells = explained.input_map.reshape(height, 4, width, 4).sum((1, 3)).ravel()
    assert np.abs(cells - row.numpy()).max() < 1e-9
    assert abs(explained.sink - sink) < 1e-9
    assert (sink > 1e-4) == (name == "swin_padded")


@pytest.mark.parametrize("name", SWINS)
def test_the_weights_of_a_site_are_those_of_the_whole_grid(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name).double()
    kept = states(model, x)
    for site in vizlib.trace(model, x[0]).attention:
        path = f"layers.{site.stage}.blocks.{site.block}"
        whole = site.weights()
        with torch.no_grad():
            expected = whole_matrix(model.module.get_submodule(path), kept[path])
        assert torch.allclose(whole.mean(0)[:, site.key_grid.prefix :], expected, atol=1e-9)
        assert torch.allclose(site.weights(rows=[5, 1], heads=[1]), whole[[1]][:, [5, 1]], atol=1e-12)


def test_a_shift_brings_far_tokens_into_a_window_and_the_mask_parts_them() -> None:
    layout = Layout.shifted(Grid(4, 4), (2, 2), (1, 1))
    assert layout.places.tolist() == [[5, 6, 9, 10], [7, 4, 11, 8], [13, 14, 1, 2], [15, 12, 3, 0]]
    shifted = vizlib.trace(zoo.model("swin"), zoo.inputs("swin")[0]).attention[1]
    weights = shifted.weights().mean(0)
    # The window of the last corner holds four corners of the grid, which do not see each other.
    assert weights[63, 0] < 1e-30
    assert weights[63, 63] > 1e-3


@pytest.mark.parametrize("shift", [(0, 0), (2, 1), (1, 3)])
@pytest.mark.parametrize("grid", [Grid(8, 8), Grid(7, 10), Grid(3, 4)])
def test_a_layout_splits_and_joins_without_loss(grid: Grid, shift: tuple[int, int]) -> None:
    layout = Layout.shifted(grid, (4, 4), shift)
    rows = torch.rand(2, 3, grid.cells, generator=torch.Generator().manual_seed(0)).double()
    split = layout.split(rows)
    assert split.shape == (2 * layout.windows, 3, 16)
    joined, lost = layout.join(split)
    assert torch.equal(joined, rows)
    assert not lost.any()
    everywhere, padding = layout.join(torch.ones_like(split))
    assert (everywhere == 1).all()
    assert (padding == layout.places.numel() - grid.cells).all()
    assert layout.padded == (grid != Grid(8, 8))


def test_the_prior_is_even_over_what_the_mask_lets_through() -> None:
    model, x = zoo.model("swin_padded"), zoo.inputs("swin_padded")
    step = next(step for step in run(model, x).lineage().steps if isinstance(step, Attention) and step.site.allowed is not None)
    eye = torch.eye(step.target.tokens).double()[None]
    landed = step.land(step.site.pull_uniform(step.split(eye)))
    seen = step.site.weights().mean(0)[:, 1:] > 1e-30
    assert not seen.all()
    for even, reached in zip(landed.rows[0], seen, strict=True):
        assert torch.equal(even > 0, reached)
        assert torch.allclose(even[reached], even.max())
    assert torch.allclose(landed.rows[0].sum(1) + landed.sink[0], torch.ones(step.target.tokens).double(), atol=1e-12)
    assert landed.sink.max() > 0.1


@pytest.mark.parametrize("method", ["rollout", "gradient_rollout", "relevance"])
def test_no_matrix_of_all_tokens_is_ever_made(method: str) -> None:
    module = SwinTransformer(**{**zoo.SWIN, "patch_size": 2}, img_size=128)
    zoo.fill_random(module)
    model = vizlib.wrap(module.eval(), input_size=(128, 128))
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with LargestTensor() as seen:
        vizlib.explain(model, x[0], method, 1)
    assert x.numel() <= seen.largest < 4096 * 4096 / 8


@pytest.mark.parametrize(("pool", "words"), [("max", "'max'"), ("", "no read-out")])
def test_what_has_no_row_to_start_from_is_refused(pool: str, words: str) -> None:
    model = vizlib.wrap(SwinTransformer(**zoo.SWIN, img_size=32, global_pool=pool).eval(), input_size=(32, 32))
    assert words in model.card.unavailable["rollout"]


def test_another_size_than_it_was_built_for_is_refused_or_read() -> None:
    with pytest.raises(vizlib.ModelError, match="built for 32 x 32"):
        vizlib.explain(zoo.model("swin"), torch.zeros(3, 48, 32))
    module = SwinTransformer(**zoo.SWIN, img_size=32, dynamic_img_size=True)
    zoo.fill_random(module)
    model = vizlib.wrap(module.eval(), input_size=(32, 32))
    explained = vizlib.explain(model, torch.randn(3, 56, 40, generator=torch.Generator().manual_seed(0)))
    assert abs(explained.input_map.sum() + explained.sink - 1) < 1e-9
    assert explained.sink > 0


@pytest.mark.parametrize("card", [card for card in vizlib.models() if card.family == "swin"], ids=lambda card: card.name)
def test_the_cards_are_those_of_the_networks(card: vizlib.ModelCard) -> None:
    model = vizlib.load(card.name, checkpoint="random")
    assert (model.card.parameters, model.card.input_size, model.adapter.classes) == (card.parameters, card.input_size, 1000)
    assert model.card.methods == card.methods
    assert {"rollout", "attention", "gradient_rollout", "relevance", "grad_cam", "attention_x_gradient"} <= set(card.methods)
    assert not {"legrad", "leave_one_out", "guided_backprop"} & set(card.methods)
    if card.name.startswith("swin_tiny"):
        explained = vizlib.explain(model, np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8))
        assert explained.sink == 0  # 7 divides 56, 28, 14 and 7: nothing is padded
        assert abs(explained.input_map.sum() - 1) < 1e-9
        assert [stage.shape for stage in explained.stages] == [(7, 7), (14, 14), (28, 28), (56, 56)]
