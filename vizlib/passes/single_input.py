"""The one input that an analysis of a single pass reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import ImageError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model


def single_input(model: Model, image: Any, fit: str | None = None) -> torch.Tensor:
    """The input x (1, 3, h, w), in the model's precision, of a picture or of a prepared tensor of one image; ImageError for several."""
    if not isinstance(image, torch.Tensor):
        return model.cast(model.prepare(image, fit))
    x = image[None] if image.ndim == 3 else image
    if x.ndim != 4 or len(x) != 1:
        raise ImageError(f"One pass is read at a time, of one prepared tensor (3, height, width), not {tuple(image.shape)}.")
    return model.cast(x)
