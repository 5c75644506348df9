"""Where the cells of a coarse map lie on the input: a grid that was padded to whole cells reaches beyond it."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def on_pixels(maps: torch.Tensor, size: tuple[int, int], stride: tuple[int, int] | None, mode: str = "bilinear") -> torch.Tensor:
    """Maps (B, rows, columns) on inputs (h, w), bilinear or by another ``mode`` of torch: (B, h, w).

    What lies in the padding at the bottom and at the right is cut off.

    ``stride`` is the pixels from one cell to the next, None where it is not known.
    """
    shape = (int(maps.shape[1]), int(maps.shape[2]))
    steps = stride or (None, None)
    extent = [_extent(side, cells, step) for side, cells, step in zip(size, shape, steps, strict=True)]
    aligned = False if mode == "bilinear" else None
    return F.interpolate(maps[:, None], size=extent, mode=mode, align_corners=aligned)[:, 0, : size[0], : size[1]]


def _extent(side: int, cells: int, stride: int | None) -> int:
    """The pixels that the cells cover along a side, its padding included."""
    if stride is not None and -(-side // stride) == cells:
        return stride * cells
    if side % cells == 0:
        return side
    # Convolutions that pad halve a side and round up; where no such stride fits, the cells lie evenly.
    halved = (1 << power for power in range(side.bit_length() + 1))
    return next((step * cells for step in halved if -(-side // step) == cells), side)
