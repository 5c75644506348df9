"""A model whose classes are colours, and photographs that it knows."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

import vizlib
from vizlib.geometry import Transform

LABELS = ("red", "leaf", "blue", "cyan", "plum")
COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0]])
SIDE, GAIN, LEAST = 64, 40.0, 0.3


class Colours(nn.Module):
    """Each class's logit is the share of the picture in its colour, pixel by pixel."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.clipped = nn.Conv2d(3, 5, 1), nn.ReLU()
        with torch.no_grad():
            self.seen.weight.copy_(torch.from_numpy(COLOURS)[:, :, None, None])
            self.seen.bias.fill_(-LEAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return GAIN * self.clipped(self.seen(x)).mean((2, 3))


@cache
def model(fit: str = "crop", size: tuple[int, int] = (SIDE, SIDE)) -> vizlib.Model:
    """Grey is its mean colour, which has none of the classes."""
    transform = Transform(size=size, crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, fit=fit)
    return vizlib.wrap(Colours().eval().requires_grad_(requires_grad=False), transform=transform, labels=LABELS)


def photograph(
    label: int, number: int = 0, size: tuple[int, int] = (SIDE, SIDE), box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Noise around a class's colour, everywhere or inside a box (x0, y0, x1, y1, inclusive) on grey."""
    colour = np.zeros((*size, 3))
    x0, y0, x1, y1 = box or (0, 0, size[1] - 1, size[0] - 1)
    colour[y0 : y1 + 1, x0 : x1 + 1] = COLOURS[label]
    noise = np.random.default_rng([label, number]).normal(0, 0.04, colour.shape)
    return np.clip(127.5 * (1 + 0.9 * colour + noise), 0, 255).round().astype(np.uint8)


def photographs(each: int = 4) -> list[np.ndarray]:
    """Some of every class."""
    return [photograph(label, number) for number in range(each) for label in range(len(LABELS))]
