"""The norms of a layer's tokens, and which of them stand out: arrays, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

THRESHOLD = 6.0
Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Norms:
    """One layer: the Euclidean norms (h, w) of its tokens, and their robust z-scores (h, w), both float64."""

    name: str
    norms: np.ndarray
    scores: np.ndarray

    def odd(self, threshold: float = THRESHOLD) -> np.ndarray:
        """The cells, row by row, whose norm lies more than ``threshold`` robust deviations above the median; a cell counts from 0."""
        return np.flatnonzero(self.scores > threshold)


def artifact_cells(layers: Sequence[Norms], threshold: float = THRESHOLD) -> dict[Shape, list[int]]:
    """By grid the cells that stand out in any layer of it, in rising order; grids without any are left out."""
    cells_by_grid: dict[Shape, set[int]] = {}
    for layer in layers:
        height, width = layer.norms.shape
        cells_by_grid.setdefault((height, width), set()).update(layer.odd(threshold).tolist())
    return {shape: sorted(cells) for shape, cells in cells_by_grid.items() if cells}
