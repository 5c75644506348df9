"""How much of a feature map is fine structure: amplitudes by spatial frequency, relative to the mean."""

from __future__ import annotations

import torch


def rings(grid: tuple[int, int], device: torch.device | None = None) -> torch.Tensor:
    """The ring of each frequency of a 2-D FFT on a grid (h, w): int64 (h, w), 0 for the mean to K = min(h, w) // 2 for the highest.

    A frequency (fy, fx), each 0 to 1/2 cycles a cell, lies in ring round(2 K max(|fy|, |fx|)): ring k is around k pi / K a cell.
    """
    steps = min(grid) // 2
    down, across = (torch.fft.fftfreq(side, dtype=torch.float64, device=device).abs() for side in grid)
    ring = (2 * steps * torch.maximum(down[:, None], across[None])).round().long()
    ring[0, 0] = 0
    # What is not the mean is never counted as the mean, however oblong the grid.
    outside = torch.ones_like(ring, dtype=torch.bool)
    outside[0, 0] = False
    return torch.where(outside, ring.clamp_min(1), 0) if steps else ring


def amplitudes(maps: torch.Tensor) -> torch.Tensor:
    """The mean amplitude |FFT| of maps (B, C, h, w) in each ring of frequencies: (K + 1,) float64, means over images and channels."""
    return amplitudes_of_each(maps).mean(0)


def amplitudes_of_each(maps: torch.Tensor) -> torch.Tensor:
    """The same of each image: (B, K + 1) float64, means over channels."""
    grid = (int(maps.shape[2]), int(maps.shape[3]))
    size = torch.fft.fft2(maps.to(torch.promote_types(maps.dtype, torch.float32)), norm="ortho").abs().mean(1, dtype=torch.float64)
    ring = rings(grid, maps.device)
    steps = min(grid) // 2 + 1 if min(grid) > 1 else 1
    total = size.new_zeros(len(size), steps).index_add_(1, ring.flatten(), size.flatten(1)) if steps > 1 else size[:, 0, :1].clone()
    count = torch.bincount(ring.flatten(), minlength=steps) if steps > 1 else torch.ones(1, device=maps.device)
    return total / count


def relative_log(amplitude: torch.Tensor) -> torch.Tensor:
    """ln A_k - ln A_0 of mean amplitudes (K + 1,): how far each ring lies below (or above) the mean; NaN where one of them is zero.

    After Park and Kim, "How Do Vision Transformers Work?", ICLR 2022, arXiv:2202.06709, Figure 2, which reads the diagonal alone. The last
    one is the highest frequency's, pi: self-attention should lower it (low-pass), convolutions raise it (high-pass).
    """
    logarithm = (amplitude / amplitude[0]).log()
    return torch.where((amplitude > 0) & (amplitude[0] > 0), logarithm, torch.nan)
