"""A model's own preprocessing as an affine map of the image's pixels, so that gradients can be carried back through it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from vizlib.errors import ModelError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

_SUPPORT = 3  # cells to each side that the widest filter, Lanczos, reaches
_COLUMNS = 512  # of the identity that are resized at once
_WHOLE = 1 << 16  # pixels of a resized side up to which all of it is made before the crop, as the transform does


@dataclass(frozen=True, eq=False)
class Resampling:
    """x_input = (D x A^T + border - mean) / std for every colour of an image (3, H, W) in 0..1.

    ``down`` (h, H) and ``across`` (w, W) are float64; ``border`` (3, h, w) is the colour where no image lies. What the transform itself
    does beyond that, rounding to 8 bits and clipping, is left out.
    """

    down: torch.Tensor
    across: torch.Tensor
    border: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, model: Model, size: tuple[int, int], fit: str | None = None) -> Resampling:
        """The preprocessing of a model for images (H, W); ModelError for a model that does not say how it prepares them."""
        if model.transform is None:
            raise ModelError(f"{model.card.name} does not say how its inputs are prepared; wrap it with input_size= or transform=.")
        transform, geometry = model.transform, model.geometry(size, fit)
        axes = zip(size, geometry.input_size, geometry.scale, geometry.offset, strict=True)
        sides = [_side(*axis, transform.interpolation) for axis in axes]
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (transform.mean, transform.std))
        covered = torch.from_numpy(sides[0][1][:, None] & sides[1][1][None])
        colour = torch.round(255 * mean).clamp(0, 255) / 255 if (fit or transform.fit) == "pad" else torch.zeros_like(mean)
        border = torch.where(covered, 0.0, colour.expand(-1, *geometry.input_size))
        return cls(torch.from_numpy(sides[0][0]), torch.from_numpy(sides[1][0]), border, mean, std)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The input (3, h, w) float64 of an image (3, H, W) in 0..1."""
        return (self.down @ image.to(torch.float64) @ self.across.T + self.border - self.mean) / self.std

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient (3, H, W) at the image of a score whose gradient at the input is (3, h, w)."""
        return self.down.T @ (gradient.to(torch.float64) / self.std) @ self.across


def _side(length: int, wanted: int, scale: float, offset: float, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """One axis: what each input pixel takes from the image's, (wanted, length) float64, and which input pixels show the image at all.

    Pillow resamples each axis by itself, so that resizing the identity gives its very weights.
    """
    resized, start = round(scale * length), round(-offset)
    first, last = max(start, 0), min(start + wanted, resized)
    step = length / resized
    margin = math.ceil(_SUPPORT * max(step, 1)) + 1
    top, bottom = max(0, math.floor(first * step) - margin), min(length, math.ceil(last * step) + margin)
    weights = np.zeros((wanted, length))
    filtering = getattr(Image.Resampling, interpolation.upper())
    for left in range(top, bottom, _COLUMNS):
        columns = range(left, min(left + _COLUMNS, bottom))
        if resized <= _WHOLE:
            identity = Image.fromarray(np.eye(length, len(columns), -left, dtype=np.float32))
            kept = np.asarray(identity.resize((len(columns), resized), filtering))[first:last]
        else:
            identity = Image.fromarray(np.eye(bottom - top, len(columns), top - left, dtype=np.float32))
            box = (0, first * step - top, len(columns), last * step - top)
            kept = np.asarray(identity.resize((len(columns), last - first), filtering, box))
        weights[first - start : last - start, left : columns.stop] = kept
    rows = np.arange(wanted) + start
    return weights, (rows >= 0) & (rows < resized)
