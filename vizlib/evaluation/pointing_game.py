"""How much of a map lies in a region (the pointing game of Zhang et al. 2016, and the share of its mass)."""

from __future__ import annotations

import torch

TIED = 1e-9  # maxima closer than this, relatively, differ by rounding alone


def box_masks(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bool (N, h, w) from boxes (N, 4) as x0, y0, x1, y1, all inclusive."""
    x0, y0, x1, y1 = boxes[:, :, None, None].unbind(1)
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    return (rows >= y0) & (rows <= y1) & (columns >= x0) & (columns <= x1)


def mass_in_box(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The share (N,) of each map's positive part (N, h, w) that lies in its mask; a map without any says as much as an even one."""
    positive = maps.to(torch.float64).clamp_min(0)
    positive = torch.where(positive.sum((1, 2), keepdim=True) > 0, positive, 1.0)
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2))


def pointing(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """1 where the map's (N, h, w) highest pixel lies in its mask, else 0; where several are highest, the share of them that do: (N,).

    Zhang et al., Top-down Neural Attention by Excitation Backprop (2016), https://arxiv.org/abs/1608.00507, without its margin.
    """
    highest = maps.amax((1, 2), keepdim=True)
    top = maps >= highest - TIED * highest.abs()
    return (top & masks).sum((1, 2)).double() / top.sum((1, 2))


def centred_gaussian(sigma: float, size: tuple[int, int]) -> torch.Tensor:
    """A map (h, w) that sums to 1: exp(-r^2 / 2 s^2) around the image's centre, s being ``sigma`` times its side, along each axis."""
    rows, columns = (((torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5) / sigma for side in size)
    heights = torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / 2)
    return heights / heights.sum()
