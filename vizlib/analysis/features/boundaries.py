"""Where groups of cells meet: read without torch."""

from __future__ import annotations

import numpy as np


def boundaries(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where neighbours differ in labels (h, w): between rows, bool (h - 1, w), and between columns, bool (h, w - 1)."""
    return labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]


def pieces(labels: np.ndarray) -> int:
    """Into how many connected pieces the groups of labels (h, w) fall: cells of one group that touch along a side are one piece."""
    import cv2

    return sum(
        cv2.connectedComponents((labels == group).astype(np.uint8), connectivity=4)[0] - 1  # one of them is everything else
        for group in np.unique(labels)
    )
