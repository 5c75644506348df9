"""Pictures blurred, filtered by spatial frequency, with noise, compressed, and without colour.

Filters work on the cosine transform of the picture, which is the Fourier transform of the picture mirrored at its edges with its edge
pixels repeated: nothing wraps around, and coefficient k of a side is k / 2 cycles per image.
"""

from __future__ import annotations

import math

import torch

from vizlib.errors import MethodError

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def cosines(side: int) -> torch.Tensor:
    """The orthonormal cosine transform of a side: float64 (side, side), row k a cosine of k / 2 cycles over the side."""
    places, numbers = torch.arange(side, dtype=torch.float64) + 0.5, torch.arange(side, dtype=torch.float64)
    waves = torch.cos(math.pi / side * numbers[:, None] * places) * math.sqrt(2 / side)
    waves[0] = 1 / math.sqrt(side)
    return waves


def cycles(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cycles per image, down (h, 1) and across (1, w), of the coefficients of a picture (h, w)."""
    down, across = (torch.arange(side, dtype=torch.float64) / 2 for side in size)
    return down[:, None], across[None]


def blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) under a Gaussian with a standard deviation of ``sigma`` pixels: gain exp(-2 pi^2 sigma^2 f^2)."""
    if not sigma >= 0:
        raise MethodError(f"A blur has a standard deviation of 0 pixels or more, not {sigma}.")
    height, width = pixels.shape[-2:]
    down, across = cycles((height, width))
    return _filtered(pixels, torch.exp(-2 * (math.pi * sigma) ** 2 * ((down / height) ** 2 + (across / width) ** 2)))


def low_pass(pixels: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) without what has more than ``cutoff`` cycles per image down or across, clipped to 0..1.

    The square filter of Yin et al., "A Fourier Perspective on Model Robustness in Computer Vision", NeurIPS 2019, arXiv:1906.08988.
    """
    return _filtered(pixels, (_larger(pixels) <= cutoff).to(torch.float64))


def high_pass(pixels: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) without what has fewer than ``cutoff`` cycles per image both down and across, clipped to 0..1.

    The mean colour stays, so that the rest can be seen. Yin et al. 2019, as in ``low_pass``.
    """
    gain = (_larger(pixels) >= cutoff).to(torch.float64)
    gain[0, 0] = 1
    return _filtered(pixels, gain)


def noise(pixels: torch.Tensor, sigma: float, seed: int = 0) -> torch.Tensor:
    """Pictures (B, 3, h, w) plus Gaussian noise, ``sigma`` as a share of the full range, clipped to 0..1.

    One seed is one pattern, whatever the strength and the picture.
    """
    if not sigma >= 0:
        raise MethodError(f"Noise has a standard deviation of 0 or more, not {sigma}.")
    pattern = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (pixels.to(torch.float64) + sigma * pattern.to(pixels.device)).clamp(0, 1).to(pixels.dtype)


def jpeg(pixels: torch.Tensor, quality: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) rounded to 8 bits, written as JPEG of a quality from 1 to 100, and read again."""
    import cv2
    import numpy as np

    if not 1 <= quality <= 100 or quality != round(quality):
        raise MethodError(f"JPEG takes a whole quality from 1 to 100, not {quality}.")
    pictures = []
    for picture in pixels.detach().cpu():
        rgb = (picture.permute(1, 2, 0).double().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        _, file = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
        read = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
        pictures.append(torch.from_numpy(cv2.cvtColor(read, cv2.COLOR_BGR2RGB)).permute(2, 0, 1))
    return (torch.stack(pictures).to(torch.float64) / 255).to(pixels)


def grey(pixels: torch.Tensor, share: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) with this share of their colour taken out, 1 all of it; brightness as in ITU-R BT.601."""
    if not 0 <= share <= 1:
        raise MethodError(f"From none of the colour to all of it is a share from 0 to 1, not {share}.")
    bright = (pixels * pixels.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    return (1 - share) * pixels + share * bright


def _filtered(pixels: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    down, across = (cosines(side).to(pixels.device) for side in pixels.shape[-2:])
    kept = down @ pixels.to(torch.float64) @ across.T * gain.to(pixels.device)
    return (down.T @ kept @ across).clamp(0, 1).to(pixels.dtype)


def _larger(pixels: torch.Tensor) -> torch.Tensor:
    height, width = pixels.shape[-2:]
    return torch.maximum(*cycles((height, width)))
