"""Where groups of cells meet: read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def boundaries(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where neighbours differ in labels (h, w): between rows, bool (h - 1, w), and between columns, bool (h, w - 1)."""
    return labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
