"""How far features move away from themselves when the image moves: equivariance, measured pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def shifted(x: torch.Tensor, pixels: int) -> torch.Tensor:
    """Inputs (B, 3, H, W) moved to the right by so many pixels; the left edge is repeated into the gap."""
    if pixels < 0 or pixels >= x.shape[-1]:
        raise VizlibError(f"An image {x.shape[-1]} pixels wide cannot be moved by {pixels}: give 0 to {x.shape[-1] - 1}.")
    return F.pad(x, (pixels, 0, 0, 0), mode="replicate")[..., : x.shape[-1]] if pixels else x


def map_drift(
    maps: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, shifts: Sequence[int], stride: int, reach: int = 0
) -> torch.Tensor:
    """How far a feature map is from moving along with its image, for each shift: (S,) float64; 0 is exact equivariance.

    ``maps`` takes (B, 3, H, W) to (B, C, h, w), ``stride`` is pixels per cell. The map of the moved image is compared with the map of the
    image, moved by as much (linear between cells): |f(Sx) - S f(x)| / |f(x) - mean of f(x)| over the cells that no border touches,
    those further than ``reach`` pixels from the left edge of the moved image and the right one.
    """
    with torch.inference_mode():
        moved = maps(torch.cat([shifted(x, pixels) for pixels in shifts])).to(torch.float64)
        still = maps(x).to(torch.float64)
    width = still.shape[-1]
    spread = still - still.mean(dim=(2, 3), keepdim=True)
    drifts = []
    for index, pixels in enumerate(shifts):
        whole, part = divmod(pixels, stride)
        share = part / stride
        first = whole + 1 + -(-reach // stride)
        last = width - -(-reach // stride)
        if last - first < 1:
            raise VizlibError(f"A shift by {pixels} pixels leaves no cell that no border touches: measure smaller shifts.")
        cells = torch.arange(first, last)
        expected = (1 - share) * still[..., cells - whole] + share * still[..., cells - whole - 1]
        size = spread[..., first:last].norm()
        gap = (moved[index : index + 1, ..., first:last] - expected).norm()
        drifts.append(gap / size if size > 0 else gap)
    return torch.stack(drifts)


def feature_drift(features: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, shifts: Sequence[int]) -> torch.Tensor:
    """1 - cosine between the features (B, C) of the image and those of the moved image, for each shift: (S,) float64."""
    with torch.inference_mode():
        moved = features(torch.cat([shifted(x, pixels) for pixels in shifts])).to(torch.float64)
        still = features(x).to(torch.float64)
    return 1 - F.cosine_similarity(moved, still, dim=1)
