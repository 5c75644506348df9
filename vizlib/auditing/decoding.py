"""Pictures of a chunk as pixels, each with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import ImageError
from vizlib.images import read_image

if TYPE_CHECKING:
    import numpy as np

    from vizlib.auditing.pictures import AuditPicture


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture of a chunk by its ``number`` there, as pixels, with its mask, bool (H, W), where it has one."""

    number: int
    picture: AuditPicture
    image: np.ndarray
    mask: np.ndarray | None


def mask_of(picture: AuditPicture, image: np.ndarray) -> np.ndarray | None:
    """Where the object is, bool (H, W); ImageError for a mask that cannot be read or is of another size."""
    if picture.mask is None:
        return None
    mask = read_image(picture.mask).max(2) > 0
    if mask.shape != image.shape[:2]:
        sizes = " and the picture ".join(f"{shape[0]} x {shape[1]}" for shape in (mask.shape, image.shape))
        raise ImageError(f"The mask {picture.mask.name} is {sizes}.")
    return mask


def decoded(source: Any) -> np.ndarray:
    """A picture uint8 (h, w, 3) of a path, bytes, an array, or a tensor (1 or 3, h, w) with colours from 0 to 1; else ImageError."""
    if isinstance(source, ImageError):
        raise source
    if isinstance(source, torch.Tensor):
        if source.ndim != 3 or source.shape[0] not in (1, 3):
            raise ImageError(f"A data set's tensor is (3, h, w) with colours from 0 to 1, not {tuple(source.shape)}.")
        values = source.detach().cpu().float()
        if not bool(torch.isfinite(values).all()) or float(values.min()) < -1e-6 or float(values.max()) > 1 + 1e-6:
            raise ImageError("A data set's tensor holds colours from 0 to 1: leave its normalisation out, since each model has its own.")
        source = (values.expand(3, -1, -1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return read_image(source)
