"""Signed maps and sets of pixels over a photograph: two colours that the colour-blind tell apart, nothing where there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from vizlib.figures.overlay import hatched

if TYPE_CHECKING:
    from collections.abc import Sequence

POSITIVE, NEGATIVE, BOTH = (47, 126, 216), (217, 80, 63), (240, 190, 40)
_LIGHT = 0.35  # of the photograph's contrast that stays under a map
_PALE = 150.0  # the grey around which it stays


def between_overlay(image: np.ndarray, values: np.ndarray, high: float) -> np.ndarray:
    """A signed map (H, W) over its photograph uint8 (H, W, 3): blue above zero, red below, full at ``high``; NaN, not seen, is hatched."""
    filled = np.where(np.isfinite(values), values, 0.0)
    strength = np.sqrt(np.clip(np.abs(filled) / high, 0, 1)) if high > 0 else np.zeros_like(filled)
    colour = np.where((filled > 0)[..., None], POSITIVE, NEGATIVE).astype(np.float64)
    mixed = faded(image) * (1 - strength[..., None]) + colour * strength[..., None]
    return hatched(np.rint(mixed).astype(np.uint8), image, ~np.isfinite(values))


def set_overlay(image: np.ndarray, codes: np.ndarray, colours: Sequence[tuple[int, int, int]] = (BOTH, POSITIVE, NEGATIVE)) -> np.ndarray:
    """Sets of pixels, int8 (H, W) with code k in the k-th colour from 1 on, over a photograph uint8 (H, W, 3); below 0 was not seen."""
    mixed = faded(image)
    for code, colour in enumerate(colours, 1):
        mixed[codes == code] = 0.3 * mixed[codes == code] + 0.7 * np.array(colour)
    return hatched(np.rint(mixed).astype(np.uint8), image, codes < 0)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Tiles (M, h, w) in 0..1 side by side in so many columns: uint8 (H, W, 3) in grey, as many pixels as cells, with a gap between."""
    count, height, width = tiles.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 128, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        canvas[top : top + height, left : left + width] = np.rint(255 * tile)[..., None]
    return canvas


def faded(image: np.ndarray) -> np.ndarray:
    """A photograph uint8 (H, W, 3) in pale grey, on which two colours can be told apart: float64."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return np.repeat((_PALE + _LIGHT * (grey - 128))[..., None], 3, axis=2)
