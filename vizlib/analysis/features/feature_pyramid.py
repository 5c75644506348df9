"""Features at several scales: how their grids lie on each other, where their energy sits, and what they hold together.

A scale is a grid and, for each of its rows and columns, the span of the grid below that its window covers; scale 0 is the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.analysis.features.boundaries import boundaries
from vizlib.errors import MethodError
from vizlib.tracing.token_flow import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.passes.forward import Pass
    from vizlib.zoo.adapters import Lineage

Box = tuple[int, int, int, int]
"""(first row, first column, last row + 1, last column + 1) in cells; empty where a first is not below its last."""


@dataclass(frozen=True, eq=False)
class Scale:
    """A grid (h, w), and for each row (h, 2) and column (w, 2) the half-open span that its windows cover on the grid below.

    Scale 0, the pixels, lies on nothing and has no spans.
    """

    grid: tuple[int, int]
    rows: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64), repr=False)
    columns: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64), repr=False)


def mean_overlap(scale: Scale, below: tuple[int, int]) -> float:
    """In how many windows of a scale a cell of the grid ``below`` lies, the mean over all cells: at the borders windows are cut off."""
    height, width = below
    return float(np.diff(scale.rows).sum() / height * np.diff(scale.columns).sum() / width)


def stage_maps(forward_pass: Pass, image: int = 0) -> dict[str, torch.Tensor]:
    """The last feature map (C, h, w) of every stage of a pass that kept its states, fine to coarse, by the name of its block.

    A stage ends where the shape of the features changes. MethodError for a model whose states are not known.
    """
    grids = {tap.name: tap.grid for tap in forward_pass.model.adapter.taps(forward_pass.size)}
    maps: dict[str, torch.Tensor] = {}
    for name, state in forward_pass.states.items():
        grid = grids[name]
        feature_map = state[image] if grid is None else state[image].flatten(0, -2)[grid.prefix :].T.unflatten(1, grid.shape)
        last = next(reversed(maps), None)
        if last is not None and maps[last].shape == feature_map.shape:
            del maps[last]
        maps[name] = feature_map
    if not maps:
        raise MethodError(
            f"vizlib does not know the feature maps of {forward_pass.model.card.name}; run with keep_states, or take another model."
        )
    return maps


def scales(lineage: Lineage, size: tuple[int, int]) -> list[Scale]:
    """The grids of a model for an input (h, w), the pixels first, each with its windows on the one below.

    MethodError where a grid does not come from windows, such as a max-pool's routing.
    """
    grids = [Scale(size)]
    for step in reversed(lineage.steps):
        if step.source.shape == step.target.shape:
            continue
        if not isinstance(step, Windows):
            raise MethodError(f"A {type(step).__name__} leads from {step.source} to {step.target} cells, and it has no fixed windows.")
        grids.append(Scale(step.target.shape, _spans(step.down), _spans(step.across)))
    return grids


def covered(scales: Sequence[Scale], start: int, box: Box, wanted: int) -> Box:
    """The cells of scale ``wanted`` that a box of cells of scale ``start`` reaches.

    Downwards the union of the windows, upwards every cell whose window touches the box. Empty where nothing covers it.
    """
    (top, left, bottom, right) = box
    rows, columns = (top, bottom), (left, right)
    for index in range(start, wanted, -1):
        rows, columns = _below(scales[index].rows, rows), _below(scales[index].columns, columns)
    for index in range(start + 1, wanted + 1):
        rows, columns = _above(scales[index].rows, rows), _above(scales[index].columns, columns)
    return (rows[0], columns[0], rows[1], columns[1])


def energy(features: torch.Tensor) -> torch.Tensor:
    """The mean square of each channel of a map (C, h, w): (C,) float64."""
    return features.to(torch.float64).square().flatten(1).mean(1)


def channels_for(features: torch.Tensor, share: float = 0.9) -> int:
    """How many channels of a map (C, h, w), the strongest first, hold this share of its energy; 0 for a map of zeros."""
    ordered = energy(features).sort(descending=True).values.cumsum(0)
    total = float(ordered[-1])
    return int((ordered < share * total * (1 - 1e-12)).sum()) + 1 if total > 0 else 0


def octaves(features: torch.Tensor) -> torch.Tensor:
    """The shares of a map's energy (C, h, w) by the size of what carries it, coarse to fine: (octaves + 1,) float64, summing to 1.

    First what is constant over the grid, then what block means add as blocks halve down to single cells. Blocks are 2^k cells wide,
    cut off at the border, so they nest and the shares add up (an orthogonal Haar-like split). All zeros for a map of zeros.
    """
    values = features.to(torch.float64)
    depth = max(0, math.ceil(math.log2(max(values.shape[1:]))))
    powers = torch.stack([_block_means(values, 2**k).square().sum() for k in range(depth, -1, -1)])
    shares = torch.cat([powers[:1], powers.diff()])
    return shares / powers[-1] if float(powers[-1]) > 0 else torch.zeros_like(shares)


def fused(maps: Sequence[torch.Tensor], grid: tuple[int, int]) -> torch.Tensor:
    """Maps (C_i, h_i, w_i) brought to one grid (h, w) and stacked: (sum of C_i, h, w) float32, each map with a total variance of 1.

    Bilinear, as dense heads do it. Without the scaling the map with the largest numbers would decide alone.
    """
    return torch.cat([_even(F.interpolate(features[None].float(), size=grid, mode="bilinear")[0]) for features in maps])


def principal(cells: torch.Tensor, count: int = 32) -> torch.Tensor:
    """Cells (N, C) seen along the ``count`` directions in which they vary most: (N, min(count, N, C)) float64, centred.

    Distances between cells stay as they are but for what the other directions hold; grouping is many times faster.
    """
    centred = cells.to(torch.float64) - cells.to(torch.float64).mean(0)
    gram = centred.T @ centred if cells.shape[1] <= len(cells) else centred @ centred.T
    values, vectors = torch.linalg.eigh(gram)
    kept = vectors.flip(1)[:, :count]
    if cells.shape[1] <= len(cells):
        return centred @ kept
    return kept * values.flip(0)[:count].clamp_min(0).sqrt()


def edge_ratio(labels: np.ndarray, image: np.ndarray) -> float:
    """How much steeper an image (H, W, 3) is along the boundaries of labels (h, w) laid over it than on average; 1 is chance.

    The mean of the Sobel magnitude of its brightness beside a boundary over the mean everywhere. NaN without boundaries or edges.
    """
    height, width = image.shape[:2]
    rows, columns = (np.arange(side) * cells // side for side, cells in zip((height, width), labels.shape, strict=True))
    between_rows, between_columns = boundaries(labels[rows][:, columns])
    beside = np.zeros((height, width), dtype=bool)
    beside[1:] |= between_rows
    beside[:-1] |= between_rows
    beside[:, 1:] |= between_columns
    beside[:, :-1] |= between_columns
    steep = _steepness(image)
    mean = float(steep.mean())
    return float(steep[beside].mean()) / mean if beside.any() and mean > 0 else math.nan


def _spans(weights: torch.Tensor) -> np.ndarray:
    inside = weights > 0
    first = inside.int().argmax(1)
    return torch.stack([first, first + inside.sum(1)], 1).cpu().numpy()


def _below(spans: np.ndarray, cells: tuple[int, int]) -> tuple[int, int]:
    if cells[0] >= cells[1]:
        return (0, 0)
    chosen = spans[cells[0] : cells[1]]
    return int(chosen[:, 0].min()), int(chosen[:, 1].max())


def _above(spans: np.ndarray, cells: tuple[int, int]) -> tuple[int, int]:
    if cells[0] >= cells[1]:
        return (0, 0)
    touching = np.flatnonzero((spans[:, 0] < cells[1]) & (spans[:, 1] > cells[0]))
    return (int(touching[0]), int(touching[-1]) + 1) if len(touching) else (0, 0)


def _block_means(values: torch.Tensor, block: int) -> torch.Tensor:
    """A map (C, h, w) with every value replaced by the mean of its block."""
    down, across = (_averaging(side, block, values.device) for side in values.shape[1:])
    return down @ values @ across.T


def _averaging(side: int, block: int, device: torch.device) -> torch.Tensor:
    of = torch.arange(side, device=device) // block
    same = (of[:, None] == of[None]).to(torch.float64)
    return same / same.sum(1, keepdim=True)


def _even(values: torch.Tensor) -> torch.Tensor:
    centred = values - values.mean((1, 2), keepdim=True)
    spread = centred.square().mean((1, 2)).sum().sqrt()
    return centred / spread if float(spread) > 0 else centred


def _steepness(image: np.ndarray) -> np.ndarray:
    brightness = torch.from_numpy(image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    padded = F.pad(brightness[None, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, torch.stack([sobel, sobel.T])[:, None])[0].norm(dim=0).numpy()
