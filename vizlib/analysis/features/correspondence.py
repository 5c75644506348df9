"""Places of one model beside places of another: a common space that neither has to share a width with.

A place is described by how it resembles a set of anchors, places of other images that both models have seen: its profile. Two models
whose features differ by a rotation and a scale have the same profiles. Moschella et al., "Relative representations enable zero-shot latent
space communication", ICLR 2023, arXiv:2209.15430.
"""

from __future__ import annotations

import torch

from vizlib.errors import MethodError


def profiles(states: torch.Tensor, anchors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """The cosines between states (N, C) and anchors (K, C), both minus ``mean`` (C,): (N, K) float64; 0 for what has no length.

    MethodError for other widths or no anchors.
    """
    if states.shape[-1] != anchors.shape[-1] or mean.shape != anchors.shape[-1:] or not len(anchors):
        raise MethodError(f"States {tuple(states.shape)} and anchors {tuple(anchors.shape)} are not of one layer.")
    return _unit(states.to(torch.float64) - mean) @ _unit(anchors.to(torch.float64) - mean).T


def correspondence(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """How alike each place of one layer is to each of another: profiles (N, K) and (M, K) -> correlations (N, M) float64 in -1..1.

    The correlation over anchors; 0 where a profile does not vary. With itself it says which places of one model are alike.
    """
    if first.shape[-1] != second.shape[-1]:
        raise MethodError(f"Profiles over {first.shape[-1]} and {second.shape[-1]} anchors cannot be compared: take the same anchors.")
    left, right = (profile.to(torch.float64) - profile.to(torch.float64).mean(-1, keepdim=True) for profile in (first, second))
    return (_unit(left) @ _unit(right).T).clamp(-1, 1)


def _unit(rows: torch.Tensor) -> torch.Tensor:
    length = rows.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, rows / length.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
