"""A picture in a few dozen pieces that keep to its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.segmentation import slic

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model


def superpixels(model: Model, x: torch.Tensor, pieces: int) -> torch.Tensor:
    """The piece, from 0, of each pixel (h, w) of an input x (1, 3, h, w), about as many as ``pieces``; the same for the same input.

    SLIC in CIELAB colours: Achanta et al., SLIC Superpixels Compared to State-of-the-Art Superpixel Methods (2012). MethodError for a
    picture that stays in one piece.
    """
    values = x[0].detach().float().cpu()
    if model.transform is not None:
        picture = model.transform.to_rgb(values)
    else:
        low, high = values.amin(), values.amax()
        picture = ((values - low) / (high - low).clamp_min(1e-12) * 255).round().byte().permute(1, 2, 0).numpy()
    segments = slic(picture, n_segments=pieces, compactness=10, start_label=0)
    _, numbers = np.unique(segments, return_inverse=True)
    if not numbers.any():
        raise MethodError(f"The picture stays in one superpixel when {pieces} are asked for: ask for more pieces.")
    return torch.from_numpy(numbers.reshape(segments.shape).astype(np.int64)).to(x.device)
