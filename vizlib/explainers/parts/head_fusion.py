"""From the heads of an attention to one matrix of non-negative rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def fuser(head_fusion: str = "mean", discard_ratio: float = 0.0) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """A map from blocks (B, h, n, M) to rows (B, n, M) that the walk then scales to sum to 1; None for the plain mean.

    ``discard_ratio`` zeroes the smallest share of each fused row, rounded down, at least one entry kept.
    """
    if head_fusion == "mean" and discard_ratio == 0:
        return None
    fuse = {"mean": _mean, "max": _max, "min": _min}[head_fusion]
    return lambda weights: _discard(fuse(weights), discard_ratio)


def one_head(head: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A map from blocks (B, h, n, M) to the rows (B, n, M) of one head alone."""
    return lambda weights: weights[:, head]


def _mean(weights: torch.Tensor) -> torch.Tensor:
    return weights.mean(1)


def _max(weights: torch.Tensor) -> torch.Tensor:
    return weights.amax(1)


def _min(weights: torch.Tensor) -> torch.Tensor:
    return weights.amin(1)


def _discard(rows: torch.Tensor, ratio: float) -> torch.Tensor:
    keys = rows.shape[-1]
    remaining = max(1, keys - int(ratio * keys))
    if remaining == keys:
        return rows
    top = rows.topk(remaining, dim=-1)
    return torch.zeros_like(rows).scatter_(-1, top.indices, top.values)
