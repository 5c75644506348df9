"""Pictures of attributions: two maps and their difference by rank, what stays under noise as contours, and many maps in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from vizlib.figures.colormaps import diverging
from vizlib.figures.overlay import coloured, hatched, overlay, signed_overlay
from vizlib.figures.picture_words import write
from vizlib.figures.signed_overlay import faded

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = ((0.1, (86, 180, 233)), (0.5, (240, 190, 40)), (0.9, (255, 255, 255)))
"""The shares of runs a contour encloses, and its colour."""
_TILE, _GAP, _LINE = 240, 12, 40


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of every value from 0, the lowest, to 1, equal values sharing their mean rank; NaN stays."""
    finite = np.isfinite(values)
    result = np.full(values.shape, np.nan)
    _, place, count = np.unique(values[finite], return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    result[finite] = ((ends - count + ends - 1) / 2)[place] / max(1, finite.sum() - 1)
    return result


def rank_pair(first: np.ndarray, second: np.ndarray, longest: int) -> list[np.ndarray]:
    """Two maps (h, w) of one grid as ranks, and the first's minus the second's: three pictures uint8 (H, W, 3)."""
    first_ranks, second_ranks = ranks(first), ranks(second)
    gap = first_ranks - second_ranks
    table = np.frombuffer(diverging(), np.uint8).reshape(256, 3)
    finite = np.isfinite(gap)
    difference = table[np.clip((np.where(finite, gap, 0.0) + 1) * 127.5, 0, 255).astype(np.uint8)]
    pictures = [coloured(first_ranks, high=1.0), coloured(second_ranks, high=1.0), difference]
    factor = max(1, longest // max(first.shape))
    size = (first.shape[1] * factor, first.shape[0] * factor)
    unseen = cv2.resize((~finite).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    black = np.zeros((size[1], size[0], 3), np.uint8)
    return [hatched(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), black, unseen) for picture in pictures]


def contours(photo: np.ndarray, share: np.ndarray, levels: Sequence[tuple[float, tuple[int, int, int]]] = LEVELS) -> np.ndarray:
    """A photograph uint8 (H, W, 3) with a line around where ``share`` (h, w), a share of runs, reaches each level."""
    drawn = (photo.astype(np.float32) * 0.75).astype(np.uint8)
    spread = cv2.resize(share.astype(np.float32), photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    for level, colour in levels:
        inside = np.pad((spread >= level).astype(np.uint8), 1)
        lines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(-1, -1))
        cv2.drawContours(drawn, lines, -1, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.drawContours(drawn, lines, -1, colour, 2, cv2.LINE_AA)
    return drawn


def tile(photo: np.ndarray, values: np.ndarray, low: float, top: float, opacity: float, *, signed: bool) -> np.ndarray:
    """A map (h, w) over the photograph uint8 (H, W, 3) that it lies on, coloured from ``low`` to ``top``.

    A ``signed`` one is coloured to ``top`` on both sides of zero, over the photograph in grey.
    """
    placed = cv2.resize(values, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if signed:
        return signed_overlay(np.rint(faded(photo)).astype(np.uint8), placed, opacity=opacity, reach=top)
    return overlay(photo, placed, opacity=opacity, low=low, high=top)


def contact_sheet(tiles: Sequence[tuple[str, str, np.ndarray]], columns: int = 4) -> np.ndarray:
    """Pictures uint8 (H, W, 3), all of one shape, with a title and a note above each: uint8 on white."""
    from PIL import Image, ImageDraw

    height, width = tiles[0][2].shape[:2]
    wide, tall = _TILE, max(1, round(_TILE * height / width))
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (wide + _GAP) + _GAP, rows * (tall + _LINE + _GAP) + _GAP), "white")
    pen = ImageDraw.Draw(canvas)
    for number, (title, note, picture) in enumerate(tiles):
        left, top = _GAP + number % columns * (wide + _GAP), _GAP + number // columns * (tall + _LINE + _GAP)
        write(pen, (left, top), title, 15)
        write(pen, (left, top + 20), note, 12, fill="#555555")
        canvas.paste(Image.fromarray(picture).resize((wide, tall), Image.Resampling.BICUBIC), (left, top + _LINE))
    return np.asarray(canvas)
