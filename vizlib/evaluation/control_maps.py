"""Maps that know nothing of the image: what any map has to beat."""

from __future__ import annotations

import cv2
import numpy as np
import torch

SMOOTH = 0.1  # standard deviation of the blur of random maps, as a share of each side
WIDTH = 0.25  # standard deviation of the Gaussian around the middle, as a share of each side


def random_smooth(count: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """White noise under a Gaussian blur, (count, h, w) float64 without a unit, the same for the same seed.

    The blur's standard deviation is SMOOTH times each side, with mirrored edges.
    """
    noise = np.random.default_rng(seed).standard_normal((count, *size))
    sigma = [SMOOTH * side for side in size]
    blurred = [cv2.GaussianBlur(values, (0, 0), sigmaX=sigma[1], sigmaY=sigma[0], borderType=cv2.BORDER_REFLECT) for values in noise]
    return torch.from_numpy(np.stack(blurred))


def centred_gaussian_map(size: tuple[int, int]) -> torch.Tensor:
    """exp(-r^2 / 2), r the distance from the middle in units of WIDTH times each side: (h, w) float64, one in the middle."""
    rows, columns = (((torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5) / WIDTH for side in size)
    return torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / 2)
