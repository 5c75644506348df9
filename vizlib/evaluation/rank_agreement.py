"""How far maps of one picture put its pixels in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.explainers.explanation import Explanation
    from vizlib.geometry import Geometry

SIDE = 64  # cells along the longer side of the common grid, at most


def agreement(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps (h, w) on one grid: float64 (M, M), symmetric, ones on the diagonal.

    Equal values share the mean of their ranks. Pixels that are NaN in either map of a pair do not count for it. NaN, also on the
    diagonal, where a map is constant. MethodError for maps of different shapes.
    """
    shapes = {values.shape for values in maps}
    if len(shapes) > 1:
        raise MethodError(f"Maps of shapes {', '.join(map(str, sorted(shapes)))} do not lie on one grid: put them on one by common_grid.")
    matrix = np.full((len(maps), len(maps)), np.nan)
    for row, first in enumerate(maps):
        for other in range(row + 1):
            matrix[row, other] = matrix[other, row] = rank_correlation(first, maps[other])
        if not np.isnan(matrix[row, row]):
            matrix[row, row] = 1.0  # exactly, without the rounding of a square root
    return matrix


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation, -1 to 1, of two arrays of one shape: Pearson's of their ranks, ties averaged.

    What is NaN in either does not count; NaN where either is constant.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    return _correlation(_ranks(first[both]), _ranks(second[both])) if both.any() else float("nan")


def common_grid(explanations: Sequence[Explanation]) -> list[np.ndarray]:
    """The maps of one picture on one grid of the upright image, float64 (h, w): the mean over each cell, at most 64 cells a side.

    A cell that is not wholly within what a model saw is NaN in its map. MethodError for pictures of different sizes.
    """
    sizes = {explanation.geometry.image_size for explanation in explanations}
    if len(sizes) > 1:
        sizes_in_words = " and ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise MethodError(f"Explanations of pictures of {sizes_in_words} pixels lie on no common grid: compare maps of one picture.")
    return [_on_grid(explanation) for explanation in explanations]


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each of values (n,) from 0; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[inverse])


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(np.clip(first @ second / spread, -1, 1)) if spread > 0 else float("nan")


def _on_grid(explanation: Explanation) -> np.ndarray:
    geometry = explanation.geometry
    rows, columns = (_cells(geometry, axis) for axis in (0, 1))
    # Each axis on its own, so that the map never exists at the size of a large photograph.
    return np.asarray(rows @ explanation.input_map @ columns.T)


def _cells(geometry: Geometry, axis: int) -> np.ndarray:
    """What each cell of the common grid along an axis holds of each model pixel, (cells, model pixels); NaN where it is not all seen."""
    pixels, inputs = geometry.image_size[axis], geometry.input_size[axis]
    count = max(1, round(pixels * min(1.0, SIDE / max(geometry.image_size))))
    at = (np.arange(pixels) + 0.5) * geometry.scale[axis] + geometry.offset[axis]
    place = np.clip(at - 0.5, 0, inputs - 1)
    below = place.astype(np.intp)
    above, share = np.minimum(below + 1, inputs - 1), place - below
    shares = np.zeros((count, inputs))
    edges = np.linspace(0, pixels, count + 1)
    for cell in range(count):
        within = np.arange(int(edges[cell]), int(np.ceil(edges[cell + 1] - 1e-9)))
        covered = np.minimum(within + 1, edges[cell + 1]) - np.maximum(within, edges[cell])
        weight = covered / covered.sum()
        np.add.at(shares[cell], below[within], weight * (1 - share[within]))
        np.add.at(shares[cell], above[within], weight * share[within])
        if ((at[within] < 0) | (at[within] >= inputs)).any():
            shares[cell] = np.nan
    return shares
