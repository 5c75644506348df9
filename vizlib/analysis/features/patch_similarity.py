"""Which patches of one image are like which of another, to one model."""

from __future__ import annotations

import torch


def patch_similarity(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The cosine of every cell of ``first`` (C, h, w) with every cell of ``second`` (C, H, W): (h w, H W), float64.

    A cell of zeros is at no angle, and counts as 0 to all others.
    """
    rows, columns = (_unit(features.flatten(1).T.to(torch.float64)) for features in (first, second))
    return rows @ columns.T


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    length = vectors.norm(dim=1, keepdim=True)
    return torch.where(length > 0, vectors / length.clamp_min(torch.finfo(vectors.dtype).tiny), 0.0)
