"""How alike the tokens of one image become with depth: oversmoothing."""

from __future__ import annotations

import torch


def token_similarity(states: torch.Tensor) -> torch.Tensor:
    """The mean cosine between different tokens of each image: states (B, N, C) -> (B,) float64; NaN for a single token.

    (|sum_i u_i|^2 - N) / (N (N - 1)) of unit vectors u, in O(N C). A token of zeros is at no angle, and counts as 0 to all others. Shi et
    al., "Revisiting Over-smoothing in BERT from the Perspective of Graph", ICLR 2022, arXiv:2202.08625; Dong et al. 2021.
    """
    count = states.shape[1]
    wide = states.to(torch.float64)
    length = wide.norm(dim=2, keepdim=True)
    unit = torch.where(length > 0, wide / length.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
    if count < 2:
        return unit.new_full((len(states),), torch.nan)
    alive = (length > 0).sum((1, 2))
    return (unit.sum(1).square().sum(1) - alive) / (count * (count - 1))
