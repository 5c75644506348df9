"""One layer of a model: where it lies in depth and on the image."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer: its cells on ``grid`` (h, w) with ``channels`` numbers each, and how far up it is, ``depth`` in (0, 1].

    ``size`` (h, w) is the input's, in pixels; ``depth`` is the layer's number over the number of layers.
    """

    name: str
    depth: float
    grid: tuple[int, int]
    channels: int
    size: tuple[int, int]

    @property
    def stride(self) -> float:
        """Input pixels a cell, the geometric mean of down and across."""
        return math.sqrt(self.size[0] * self.size[1] / (self.grid[0] * self.grid[1]))
