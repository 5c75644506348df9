"""A picture in a few dozen pieces that keep to its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.segmentation import slic

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

TOLERANCE = 0.25  # how far off the count may be, as a share of what is asked for
TRIES = 4


def superpixels(model: Model, x: torch.Tensor, pieces: int) -> torch.Tensor:
    """The piece, from 0, of each pixel (h, w) of an input x (1, 3, h, w), about as many as ``pieces``; the same for the same input.

    SLIC in CIELAB colours, each piece's compactness by its own contrast: Achanta et al., SLIC Superpixels Compared to State-of-the-Art
    Superpixel Methods (2012). MethodError for a picture that stays in one piece.
    """
    picture = model.picture(x)
    numbers, count = _nearest_cut(picture, pieces)
    if count == 1:
        raise MethodError(f"The picture stays in one superpixel when {pieces} are asked for: ask for more pieces.")
    return torch.from_numpy(numbers).to(x.device)


def count_note(count: int, pieces: int) -> tuple[str, ...]:
    """A note where a picture came out in far fewer or more superpixels than were asked for."""
    if abs(count - pieces) <= TOLERANCE * pieces:
        return ()
    return (f"The picture was cut into {count} superpixels where {pieces} were asked for.",)


def _nearest_cut(picture: np.ndarray, pieces: int) -> tuple[np.ndarray, int]:
    """The pieces' numbers (h, w) int64 and how many there are: of a few cuts the one whose count is nearest to what is wanted."""
    best, best_count, asked = np.zeros(picture.shape[:2], np.int64), 1, pieces
    for _ in range(TRIES):
        segments = slic(picture, n_segments=asked, slic_zero=True, start_label=0)
        names, numbers = np.unique(segments, return_inverse=True)
        count = len(names)
        if best_count == 1 or abs(count - pieces) < abs(best_count - pieces):
            best, best_count = numbers.reshape(segments.shape).astype(np.int64), count
        if abs(best_count - pieces) <= TOLERANCE * pieces:
            break
        asked = max(2, round(asked * pieces / count))
    return best, best_count
