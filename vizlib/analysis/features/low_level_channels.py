"""Which channels hold a picture's edges and lines beyond chance: against the edges of other pictures, on one grid for all models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.analysis.features.channels import edge_scores, gradients
from vizlib.errors import VizlibError
from vizlib.stats import CHANCE

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class LowLevel:
    """``edge`` correlation R in 0..1 of each channel (C,) with the picture's gradients, and whether that is ``beyond_chance``."""

    edge: torch.Tensor
    beyond_chance: torch.Tensor


def permuted(images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Pictures (3, H, W) turned and mirrored in every way that keeps their shape: what stands for this picture's edges by chance."""
    turned = []
    for image in images:
        views = [image, image.flip(1), image.flip(2), image.flip(1, 2)]
        turned += views + ([view.transpose(1, 2) for view in views] if image.shape[1] == image.shape[2] else [])
    return turned


def low_level(maps: torch.Tensor, image: torch.Tensor, others: Sequence[torch.Tensor], grid: tuple[int, int]) -> LowLevel:
    """Maps (C, h, w) of a picture (3, H, W), averaged to one grid, beside its gradients and beside those of other pictures.

    A channel is beyond chance where its R with this picture is above all but ``CHANCE`` of its R with the others: R alone depends on the
    grid and on how smooth the map is. VizlibError for fewer others than that takes.
    """
    if len(others) * CHANCE < 1:
        raise VizlibError(f"{len(others)} other pictures cannot tell what {CHANCE:.0%} of them reach: it takes {round(1 / CHANCE)}.")
    pooled = F.adaptive_avg_pool2d(maps.to(torch.float64), grid)
    edge = edge_scores(pooled, gradients(image, grid))
    beside = torch.stack([edge_scores(pooled, gradients(other, grid)) for other in others])
    return LowLevel(edge, edge > beside.quantile(1 - CHANCE, 0))
