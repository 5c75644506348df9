"""How alike the layers of models are, as a matrix: read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Alignment:
    """CKA between all layers: ``value`` (T, T) float64, and the ends of its 95 % interval, None where there was one minibatch.

    An unbiased estimate can lie below 0; NaN where a layer does not vary.
    """

    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    batches: int
