"""Feature maps channel by channel: which ones draw edges, which are dead or explode, and how to scale them for the eye.

The T2T-ViT paper marks such maps by hand in its Figure 2 and gives no rule (Yuan et al., ICCV 2021, arXiv:2101.11986). The rules here are
vizlib's own; they read the values as the network made them, which a picture scaled for each map hides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vizlib.errors import VizlibError

FLAT = 1e-3  # standard deviation, as a share of the layer's median, below which a map is dead
NOTHING = 1e-6  # largest magnitude below which a map is dead whatever the others do
DEVIATIONS = 8.0  # robust deviations of log peak above the layer's median from which on a map explodes,
TIMES = 10.0  # and how many times the median peak it has to be at least
SCALINGS = ("channel", "layer", "robust")
_ROBUST = 3.0  # robust deviations that become black and white
_MAD = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation


@dataclass(frozen=True, eq=False)
class Marks:
    """Of each channel (C,): its ``deviation`` and ``peak``, and which are ``dead`` or ``exploding`` by them."""

    deviation: torch.Tensor
    peak: torch.Tensor
    dead: torch.Tensor
    exploding: torch.Tensor


def gradients(image: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Where a picture's luma rises and falls, across and down: (3, H, W) -> (4, h, w) float64, means over the cells of a grid.

    The Sobel derivatives split into their positive and negative parts: right, left, down, up. The border is repeated outwards, so that a
    flat picture has no edge anywhere.
    """
    if image.ndim != 3 or len(image) != 3:
        raise VizlibError(f"A picture has shape (3, height, width), not {tuple(image.shape)}.")
    grey = image.to(torch.float64).mul(image.new_tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]).sum(0)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64, device=image.device)
    padded = F.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")
    slope = F.conv2d(padded, torch.stack([across, across.T])[:, None])[0]
    # What rounding leaves in a flat region would be a pattern once it is correlated.
    slope = torch.where(slope.abs() > 1e-9 * grey.abs().max(), slope, 0.0)
    parts = torch.stack([slope[0].clamp_min(0), (-slope[0]).clamp_min(0), slope[1].clamp_min(0), (-slope[1]).clamp_min(0)])
    return F.adaptive_avg_pool2d(parts, grid)


def edge_scores(maps: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """The multiple correlation R of each map (C, h, w) with the gradients (E, h, w): (C,) float64 in 0..1, 0 where nothing varies.

    R^2 is the share of the map's variance that some sum of the gradients, whatever its direction and sign, accounts for.
    """
    if maps.shape[1:] != edges.shape[1:]:
        raise VizlibError(f"Maps on a grid of {tuple(maps.shape[1:])} cannot be compared with edges on one of {tuple(edges.shape[1:])}.")
    wide, others = (_centred(centred_maps.to(torch.float64).flatten(1)) for centred_maps in (maps, edges))
    _, sizes, basis = torch.linalg.svd(others, full_matrices=False)
    basis = basis[sizes > 1e-9 * sizes.max().clamp_min(torch.finfo(torch.float64).tiny)]
    size = wide.norm(dim=1)
    return torch.where(size > 0, (wide @ basis.T).norm(dim=1) / size.clamp_min(torch.finfo(torch.float64).tiny), 0.0).clamp(0, 1)


def mark(maps: torch.Tensor) -> Marks:
    """What the rules say of the maps (C, h, w) of one layer, from their unscaled values.

    dead: the deviation is below FLAT times the layer's median, or the largest magnitude below NOTHING. exploding: the largest magnitude is
    over median + DEVIATIONS * 1.4826 MAD of its logarithm, and over TIMES the median, both over the maps that live.
    """
    wide = maps.to(torch.float64).flatten(1)
    deviation, peak = wide.std(dim=1, correction=0), wide.abs().amax(1)
    return Marks(deviation, peak, *verdicts(deviation, peak))


def verdicts(deviation: torch.Tensor, peak: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which channels (C,) of a layer are dead and which explode, by their standard deviations and largest magnitudes; see ``mark``."""
    living = peak >= NOTHING
    dead = ~living
    exploding = torch.zeros_like(dead)
    if living.any():
        dead = dead | (deviation < FLAT * deviation[living].median())
        log_peak = peak.clamp_min(NOTHING).log()
        median = log_peak[living].median()
        spread = _MAD * (log_peak[living] - median).abs().median()
        exploding = living & (log_peak > median + DEVIATIONS * spread) & (peak > TIMES * median.exp())
    return dead, exploding


def scaled(maps: torch.Tensor, how: str) -> torch.Tensor:
    """Maps (C, h, w) of one layer as grey values float64 0..1.

    channel: each from its own lowest to its own highest, as most pictures in papers are. layer: from -m to m, m the largest magnitude of
    the layer, so that zero is 0.5 and magnitudes can be compared. robust: the layer's median is 0.5 and 3 robust deviations are the ends,
    so that one exploding channel does not hide the others. What does not vary is 0.5.
    """
    if how not in SCALINGS:
        raise VizlibError(f"There is no scaling {how!r}; there are {', '.join(SCALINGS)}.")
    wide = maps.to(torch.float64)
    if how == "channel":
        low, high = (end(wide.flatten(1), 1)[:, None, None] for end in (torch.amin, torch.amax))
    elif how == "layer":
        high = wide.abs().max()
        low = -high
    else:
        middle = wide.median()
        reach = _ROBUST * _MAD * (wide - middle).abs().median()
        low, high = middle - reach, middle + reach
    return torch.where(high > low, ((wide - low) / (high - low).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0, 1), 0.5)


def _centred(values: torch.Tensor) -> torch.Tensor:
    centred = values - values.mean(-1, keepdim=True)
    # What rounding leaves of a constant is no pattern.
    return torch.where(centred.abs().amax(-1, keepdim=True) > 1e-12 * values.abs().amax(-1, keepdim=True), centred, 0.0)
