"""Windows weighed by what went through them, in PVT v2's embeddings, reductions and MLPs and in Swin's merging."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from explicit import matrix

import vizlib
from vizlib.passes.forward import run_measured
from vizlib.tracing.token_flow import Attention, Mix, WeightedCells, WeightedWindows, Windows
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.pyramid import depthwise


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double() + 0.1


def contributions(run, x: torch.Tensor) -> torch.Tensor:
    """Of each output of a positive linear map of one channel, the share that each cell gave."""
    jacobian = torch.autograd.functional.jacobian(lambda cells: run(cells).flatten(), x)[:, 0, 0].flatten(1)
    return jacobian * x.flatten() / run(x).flatten()[:, None]


def test_a_depth_wise_convolution_shares_by_contribution() -> None:
    kernel, x = positive(1, 1, 3, 3), positive(1, 1, 5, 7, seed=1)
    expected = contributions(lambda cells: F.conv2d(cells, kernel, padding=1), x)
    assert torch.allclose(matrix(depthwise(kernel, Grid(5, 7), x))[0, :, :-1], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(14, 14), (9, 11), (7, 7)])
def test_a_pooling_shares_by_contribution(size: tuple[int, int]) -> None:
    x = positive(1, 1, *size)
    expected = contributions(lambda cells: F.adaptive_avg_pool2d(cells, 7), x)
    step = WeightedCells(Windows.adaptive(Grid(*size), Grid(7, 7)), x.flatten(1))
    assert torch.allclose(matrix(step)[0, :, :-1], expected, atol=1e-12)


def test_a_pooling_of_nothing_is_even() -> None:
    weights = torch.ones(1, 14, 14).double()
    weights[:, :2, :2] = 0
    even = Windows.adaptive(Grid(14, 14), Grid(7, 7))
    assert torch.allclose(matrix(WeightedCells(even, weights.flatten(1))), matrix(even), atol=1e-15)


def one_cell_at_a_time(part: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """The norm of what a convolution makes of each single cell of its window, (B, cells, windows)."""
    rows, columns = part.kernel_size
    norms = []
    for cell in range(rows * columns):
        alone = torch.zeros_like(part.weight)
        alone[..., cell // columns, cell % columns] = part.weight[..., cell // columns, cell % columns]
        norms.append(F.conv2d(x, alone, None, part.stride, part.padding, 1, part.groups).norm(dim=1).flatten(1))
    return torch.stack(norms, 1)


@pytest.mark.parametrize("name", ["pvt_v2", "pvt_v2_linear"])
def test_every_window_of_a_pvt_v2_is_weighed_by_its_own_input(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    module, seen = copy.deepcopy(model.module), []
    for path, part in module.named_modules():
        if isinstance(part, torch.nn.Conv2d) and not path.endswith("head"):
            part.register_forward_hook(lambda part, inputs, _: seen.append((part, inputs[0])))
    with torch.no_grad():
        module(x)
        steps = run_measured(model, x, windows="contribution").lineage("contribution").steps
        # A block runs its attention before its MLP, so its steps come in the other order.
        maps = []
        for step in reversed(steps):
            maps += [step.gather] if isinstance(step, Attention) else [step.spread if isinstance(step, Mix) else step]
        maps = [one for one in maps if one is not None]
        assert len(maps) == len(seen)
        for step, (part, given) in zip(maps, seen, strict=True):
            if isinstance(step, WeightedCells):
                continue  # what the 1 x 1 convolution sees is pooled already
            assert isinstance(step, WeightedWindows)
            inside = F.unfold(torch.ones(1, 1, *step.source.shape).double(), step.kernel, padding=step.padding, stride=step.stride)
            assert torch.allclose(step.weights * inside, one_cell_at_a_time(part, given), atol=1e-9)


def test_linear_attention_weighs_the_cells_that_it_pools() -> None:
    model, x = zoo.model("pvt_v2_linear", torch.float64), zoo.inputs("pvt_v2_linear").double()
    steps = run_measured(model, x, windows="contribution").lineage("contribution").steps
    gather = next(step.gather for step in reversed(steps) if isinstance(step, Attention))
    module, seen = copy.deepcopy(model.module), {}
    attention = module.stages[0].blocks[0].attn
    attention.pool.register_forward_hook(lambda _, inputs, __: seen.update(x=inputs[0]))
    with torch.no_grad():
        module(x)
        each = torch.einsum("oi,bihw->bohw", attention.sr.weight[:, :, 0, 0], seen["x"])
    assert torch.allclose(gather.weights, each.norm(dim=1).flatten(1), atol=1e-9)


@pytest.mark.parametrize("name", ["swin", "swin_v2"])
@pytest.mark.parametrize("mode", ["weight", "contribution"])
def test_merged_patches_share_by_what_the_projection_makes_of_each(name: str, mode: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name).double()
    lineage = run_measured(model, x, windows=mode).lineage(mode)
    step = next(step for step in lineage.steps if isinstance(step, WeightedWindows) and step.kernel == (2, 2))
    module, seen = copy.deepcopy(model.module), {}
    merge = module.layers[1].downsample
    merge.register_forward_hook(lambda _, inputs, __: seen.update(x=inputs[0]))
    with torch.no_grad():
        module(x)
        gain = merge.norm.weight if name == "swin" else torch.ones(48).double()
        for cell in range(4):
            # One cell of each two by two, through timm's own order of the four.
            alone = torch.zeros_like(seen["x"])
            alone[:, cell // 2 :: 2, cell % 2 :: 2] = seen["x"][:, cell // 2 :: 2, cell % 2 :: 2] if mode == "contribution" else 1
            rows = alone.reshape(1, 4, 2, 4, 2, 12).permute(0, 1, 3, 4, 2, 5).flatten(3)
            if mode == "contribution":
                expected = (merge.reduction.weight @ (gain * rows).flatten(0, 2).T).norm(dim=0)
            else:
                expected = (merge.reduction.weight * gain * rows[0, 0, 0]).norm().expand(16)
            assert torch.allclose(step.weights[0, cell], expected, atol=1e-9)


@pytest.mark.parametrize("name", ["pvt_v2", "pvt_v2_linear", "swin"])
def test_contributions_of_a_list_are_those_of_each_image(name: str) -> None:
    model, xs = zoo.model(name), zoo.inputs(name, 3)
    options = {"windows": "contribution", "residual_weight": "norms"}
    for one, x in zip(vizlib.explain(model, xs, **options), xs, strict=True):
        alone = vizlib.explain(model, x, **options)
        assert np.allclose(one.input_map, alone.input_map, rtol=1e-3, atol=1e-6)
        assert abs(one.input_map.sum() + one.sink - 1) < 1e-9
