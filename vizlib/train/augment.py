"""Augmentation of whole uint8 batches, on whatever device they live."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torchvision.transforms import v2

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_CHUNK = 8  # torchvision draws one RandAugment policy per call, so a batch is given to it in chunks


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Float (B, 3, H, W) in normalised units from uint8 or 0..255 float images."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return (images.float() - mean) / std


def crop_and_flip(images: torch.Tensor, smallest: float) -> torch.Tensor:
    """A random crop of at least ``smallest`` of the area, of aspect 3/4 to 4/3, resized back, flipped half the time: float (B, 3, H, W)."""
    batch, device = len(images), images.device
    area = torch.empty(batch, device=device).uniform_(smallest, 1)
    aspect = torch.exp(torch.empty(batch, device=device).uniform_(-0.2877, 0.2877))
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    flip = torch.where(torch.rand(batch, device=device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0] = width * flip
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (torch.rand(batch, device=device) * 2 - 1) * (1 - width)
    theta[:, 1, 2] = (torch.rand(batch, device=device) * 2 - 1) * (1 - height)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)


class Augment:
    """Random crop, flip and RandAugment on a uint8 batch, then mixup or cutmix: normalised images and soft labels (B, classes)."""

    def __init__(self, classes: int, *, smallest: float, operations: int, magnitude: int, mix: float) -> None:
        self.classes, self.smallest, self.mix = classes, smallest, mix
        self.policy = v2.RandAugment(operations, magnitude) if operations else None
        self.mixers = (v2.CutMix(alpha=1.0, num_classes=classes), v2.MixUp(alpha=0.8, num_classes=classes))

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, *, mix: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        if self.policy is not None:
            images = torch.cat([self.policy(chunk) for chunk in images.split(_CHUNK)])
        images = normalise(crop_and_flip(images, self.smallest))
        draw = float(torch.rand(()))
        if mix and draw < self.mix:
            return self.mixers[draw < self.mix / 2](images, labels)
        return images, F.one_hot(labels, self.classes).float()
