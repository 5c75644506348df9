"""An exam's question as a picture: where the evidence is, and where something is that has no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 256
_TRUTH, _CONTROL = (255, 196, 0), (200, 200, 200)


def outline_words(truth: np.ndarray, control: np.ndarray | None = None) -> str:
    """What the edges that ``outlined`` draws enclose; empty where it draws none."""
    if not truth.any():
        return ""
    return "Yellow: where the evidence is." if control is None else "Yellow: where the evidence is; grey: the control."


def outlined(picture: np.ndarray, truth: np.ndarray, control: np.ndarray | None = None) -> np.ndarray:
    """A picture uint8 (h, w, 3), enlarged by a whole number, with the edge of truth (h, w) in yellow and that of the control in grey."""
    times = max(1, LONGEST // max(picture.shape[:2]))
    result = np.ascontiguousarray(picture.repeat(times, 0).repeat(times, 1))
    areas: Iterable[tuple[np.ndarray | None, tuple[int, int, int]]] = ((control, _CONTROL), (truth, _TRUTH))
    for area, colour in areas:
        if area is not None:
            large = area.astype(np.uint8).repeat(times, 0).repeat(times, 1)
            edges, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(result, edges, -1, (0, 0, 0), 4)
            cv2.drawContours(result, edges, -1, colour, 2)
    return result
