"""transformers' pyramids against brute force, the windows of every convolution written out cell by cell."""

from __future__ import annotations

from functools import cache
from typing import Any

import brute_force as brute
import pytest
import torch
from vit_modules import filled

import vizlib

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WIDTHS: dict[str, Any] = {"num_labels": 7, "hidden_sizes": [8, 12, 16, 24], "num_attention_heads": [1, 2, 2, 3]}


def hugging(name: str, config: str, ways: str = "eager", **facts: Any) -> torch.nn.Module:
    return filled(getattr(transformers, name)._from_config(getattr(transformers, config)(**facts), attn_implementation=ways))


MODELS = {
    "pvt": lambda: hugging(
        "PvtForImageClassification", "PvtConfig", image_size=64, patch_sizes=[4, 2, 2, 2], depths=[1, 1, 1, 2], **WIDTHS
    ),
    "pvt v2": lambda: hugging("PvtV2ForImageClassification", "PvtV2Config", image_size=64, depths=[1, 1, 1, 2], **WIDTHS),
    "pvt v2, linear": lambda: hugging(
        "PvtV2ForImageClassification", "PvtV2Config", image_size=64, depths=[1, 1, 1, 1], linear_attention=True, **WIDTHS
    ),
    "segformer": lambda: hugging("SegformerForImageClassification", "SegformerConfig", "sdpa", depths=[1, 2, 1, 1], **WIDTHS),
    "cvt": lambda: hugging(
        "CvtForImageClassification", "CvtConfig", num_labels=7, depth=[1, 2, 3], embed_dim=[8, 12, 24], num_heads=[1, 2, 3]
    ),
}
# kernel, stride and padding of what makes each grid, of what reduces its keys, its blocks, and its learned tokens.
SHAPES: dict[str, list[tuple[Any, Any, int, int]]] = {
    "pvt": [((4, 4, 0), (8, 8, 0), 1, 0), ((2, 2, 0), (4, 4, 0), 1, 0), ((2, 2, 0), (2, 2, 0), 1, 0), ((2, 2, 0), None, 2, 1)],
    "pvt v2": [((7, 4, 3), (8, 8, 0), 1, 0), ((3, 2, 1), (4, 4, 0), 1, 0), ((3, 2, 1), (2, 2, 0), 1, 0), ((3, 2, 1), None, 2, 0)],
    "pvt v2, linear": [((7, 4, 3), "pool", 1, 0), ((3, 2, 1), "pool", 1, 0), ((3, 2, 1), "pool", 1, 0), ((3, 2, 1), "pool", 1, 0)],
    "segformer": [((7, 4, 3), (8, 8, 0), 1, 0), ((3, 2, 1), (4, 4, 0), 2, 0), ((3, 2, 1), (2, 2, 0), 1, 0), ((3, 2, 1), None, 1, 0)],
    "cvt": [((7, 4, 2), (3, 2, 1), 1, 0), ((3, 2, 1), (3, 2, 1), 2, 0), ((3, 2, 1), (3, 2, 1), 3, 1)],
}


def third(answer: torch.Tensor) -> torch.Tensor:
    return answer[:, 2]


def cells(size: tuple[int, int], window: tuple[int, int, int]) -> tuple[int, int]:
    kernel, stride, padding = window
    return ((size[0] + 2 * padding - kernel) // stride + 1, (size[1] + 2 * padding - kernel) // stride + 1)


def windows(source: tuple[int, int], window: tuple[int, int, int], prefix: int = 0) -> torch.Tensor:
    kernel, stride, padding = ((value, value) for value in window)
    return brute.convolution(source, cells(source, window), kernel, stride, padding, prefix)


def pooled(source: tuple[int, int]) -> torch.Tensor:
    """The matrix of an adaptive average pool to 7 x 7, from what it makes of each cell by itself."""
    alone = torch.eye(source[0] * source[1], dtype=torch.float64).view(-1, 1, *source)
    return torch.nn.functional.adaptive_avg_pool2d(alone, 7).flatten(1).T


def depthwise(kernel: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """A 3 x 3 window whose cells count by the channel mean of |kernel|, scaled inside the grid."""
    weight, matrix = kernel.detach().abs().double().mean((0, 1)), torch.zeros(shape[0] * shape[1], shape[0] * shape[1]).double()
    for row in range(shape[0]):
        for column in range(shape[1]):
            for y in range(max(row - 1, 0), min(row + 2, shape[0])):
                for x in range(max(column - 1, 0), min(column + 2, shape[1])):
                    matrix[row * shape[1] + column, y * shape[1] + x] = weight[y - row + 1, x - column + 1]
    return matrix / matrix.sum(1, keepdim=True)


def chain_of(name: str, module: torch.nn.Module, size: tuple[int, int]) -> brute.Chain:
    kernels = [part.weight for path, part in module.named_modules() if path.endswith("dwconv.dwconv")]
    chain: brute.Chain = []
    number, below = 0, size
    for embed, reduction, depth, prefix in SHAPES[name]:
        grid = cells(below, embed)
        part: brute.Chain = [brute.Fixed(windows(below, embed))]
        if prefix:
            part.insert(0, brute.Fixed(brute.without_prefix(grid[0] * grid[1], prefix)))
        for _ in range(depth):
            gather = None if reduction is None else pooled(grid) if reduction == "pool" else windows(grid, reduction, prefix)
            whole = (lambda weights: weights) if gather is None else (lambda weights, gather=gather: weights @ gather)
            part.insert(0, brute.Attention(number, whole))
            if kernels:
                mixed = depthwise(kernels[number], grid)
                part.insert(0, brute.Fixed(0.5 * torch.eye(len(mixed)) + 0.5 * mixed))
            number += 1
        chain, below = part + chain, grid
    return chain


@cache
def wrapped(name: str) -> vizlib.Model:
    return vizlib.wrap(MODELS[name](), input_size=64)


@pytest.mark.parametrize("name", MODELS)
def test_maps_equal_brute_force(name: str) -> None:
    model = wrapped(name)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    caught = brute.catch(model.module, x, lambda output: third(output.logits).sum())
    chain = chain_of(name, model.module, (64, 64))
    tokens = chain[0].matrix.shape[0] if isinstance(chain[0], brute.Fixed) else caught.weights[-1].shape[2]
    row = torch.full((2, tokens), 1 / tokens, dtype=torch.float64)
    if name in ("pvt", "cvt"):
        row = torch.eye(1, tokens, dtype=torch.float64).expand(2, -1)
    expected = {
        "rollout": brute.rollout(caught, row, chain),
        "attention": brute.raw_attention(caught, row, chain, len(caught.weights) - 1),
        "relevance": brute.relevance(caught, row, chain),
        "gradient_rollout": brute.gradient_rollout(caught, row, chain),
    }
    for method, maps in expected.items():
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=2), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9, method


@pytest.mark.parametrize("name", MODELS)
def test_grad_cam_windows_and_measured_residuals_follow(name: str) -> None:
    model = wrapped(name)
    x = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert vizlib.explain(model, x, "grad_cam", target=2).input_map.shape == (64, 64)
    for options in ({"residual_weight": "norms"}, {"windows": "weight"}, {"windows": "contribution"}):
        explanation = vizlib.explain(model, x, "rollout", **options)
        assert abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-9
