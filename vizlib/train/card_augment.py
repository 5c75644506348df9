"""Augmentation of whole batches where they live, one draw for each photograph: geometry, colour, sharpness, erasing, mixing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = (1 / 4, 1 / 2, 1 / 4)
TURN = math.radians(15)


def random_views(count: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Affine maps (count, 2, 3) for ``affine_grid``: crops of ``smallest`` to all of the area, aspect 3/4 to 4/3.

    Half of them are flipped and a third are turned by up to 15 degrees.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count).uniform_(low, high, generator=generator)

    area, aspect = uniform(smallest, 1), torch.exp(uniform(-0.2877, 0.2877))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    turn = torch.where(uniform(0, 1) < 1 / 3, uniform(-TURN, TURN), torch.zeros(count))
    views = torch.empty(count, 2, 3)
    views[:, 0, 0], views[:, 0, 1] = width * flip * turn.cos(), -height * turn.sin()
    views[:, 1, 0], views[:, 1, 1] = width * flip * turn.sin(), height * turn.cos()
    views[:, 0, 2], views[:, 1, 2] = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    return views


def seen_through(images: Tensor, views: Tensor, side: int | None = None) -> Tensor:
    """Photographs (B, 3, H, W) through affine views (B, 2, 3), mirrored at the border: float32 (B, 3, side, side), H unless given."""
    shape = [len(images), 3, side or images.shape[-2], side or images.shape[-1]]
    return F.grid_sample(images.float(), F.affine_grid(views, shape, align_corners=False), padding_mode="reflection", align_corners=False)


def recoloured(images: Tensor, amount: float, *, grey: float = 0.1) -> Tensor:
    """Photographs (B, 3, H, W), 0 to 255, brightness, contrast and saturation times 1 - amount to 1 + amount; a share without colour."""
    b, device = len(images), images.device
    light, contrast, colour = (1 + amount * (2 * torch.rand(3, b, 1, 1, 1, device=device) - 1)).unbind()
    colour = colour * (torch.rand(b, 1, 1, 1, device=device) >= grey)
    x = images * light
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * contrast
    luma = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return (luma + (x - luma) * colour).clamp(0, 255)


def resharpened(images: Tensor, share: float) -> Tensor:
    """A share of the photographs sharpened by up to twice their detail or blurred: x + a (x - blur(x)), a from -1 to 2.

    Photographs that visitors bring are sharper at 64 px than those of the set.
    """
    b, device = len(images), images.device
    kernel = images.new_tensor(BLUR)
    kernel = (kernel[:, None] * kernel).expand(3, 1, 3, 3)
    blurred = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
    strength = (3 * torch.rand(b, 1, 1, 1, device=device) - 1) * (torch.rand(b, 1, 1, 1, device=device) < share)
    return (images + strength * (images - blurred)).clamp(0, 255)


def erased(images: Tensor, share: float) -> Tensor:
    """A share of the normalised photographs (B, 3, H, W) with a rectangle of 5 to 30 % of the area at zero, the mean colour."""
    b, device = len(images), images.device
    height, width = images.shape[-2:]
    area, aspect = 0.05 + 0.25 * torch.rand(b, device=device), torch.exp(1.2 * torch.rand(b, device=device) - 0.6)
    h, w = ((area * aspect).sqrt() * height).clamp(max=height), ((area / aspect).sqrt() * width).clamp(max=width)
    top, left = torch.rand(b, device=device) * (height - h), torch.rand(b, device=device) * (width - w)
    h = torch.where(torch.rand(b, device=device) < share, h, torch.zeros_like(h))
    y, x = torch.arange(height, device=device)[None], torch.arange(width, device=device)[None]
    rows = (y >= top[:, None]) & (y < (top + h)[:, None])
    columns = (x >= left[:, None]) & (x < (left + w)[:, None])
    return images * ~(rows[:, :, None] & columns[:, None, :])[:, None]


def mixed(images: Tensor, targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A share of the photographs cut into or blended with the next one of the batch, half of them each, targets (B, K) in proportion.

    CutMix (Yun et al. 2019, arXiv:1905.04899) with the cut's area from Beta(1, 1), mixup (Zhang et al. 2018, arXiv:1710.09412) with the
    share from Beta(0.8, 0.8).
    """
    b, device = len(images), images.device
    height, width = images.shape[-2:]
    draw = torch.rand(b, device=device)
    other_images, other_targets = images.roll(1, 0), targets.roll(1, 0)
    side = torch.rand(b, device=device).sqrt()
    top, left = torch.rand(b, device=device) * height, torch.rand(b, device=device) * width
    y, x = torch.arange(height, device=device)[None], torch.arange(width, device=device)[None]
    rows = (y + 0.5 - top[:, None]).abs() < side[:, None] * height / 2
    columns = (x + 0.5 - left[:, None]).abs() < side[:, None] * width / 2
    cut = (rows[:, :, None] & columns[:, None, :])[:, None].float()
    blend = torch.distributions.Beta(images.new_tensor(0.8), images.new_tensor(0.8)).sample((b,)).view(b, 1, 1, 1)
    weight = torch.where((draw < share / 2).view(b, 1, 1, 1), cut, blend.expand_as(cut))
    weight = weight * (draw < share).view(b, 1, 1, 1)
    part = weight.mean((1, 2, 3))[:, None]
    return images + weight * (other_images - images), targets + part * (other_targets - targets)
