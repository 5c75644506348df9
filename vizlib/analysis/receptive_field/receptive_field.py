"""What part of the input a unit answers to: read without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.analysis.attention.head_statistics import centres
from vizlib.tracing.token_grid import Grid


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """A receptive field: non-negative weights (h, w) float64 on the input, which sum to 1, of the cell whose centre is ``at`` (y, x).

    ``reaches`` are those of each input that it was measured on, where it was, and ``energies`` what each of them counts in ``reach``.
    """

    weights: np.ndarray
    at: tuple[float, float]
    reaches: tuple[float, ...] = ()
    energies: tuple[float, ...] = ()

    @property
    def reach(self) -> float:
        """sum w |pixel - centre| / sum w, in input pixels: to be read beside the attention distance of a head."""
        gaps = np.linalg.norm(centres(Grid(*self.weights.shape), self.weights.shape) - self.at, axis=-1)
        return float((self.weights.ravel() * gaps).sum())
