"""Places of one model beside places of another: a common space that neither has to share a width with.

A place is described by how it resembles a set of anchors, places of other images that both models have seen: its profile. Two models
whose features differ by a rotation and a scale have the same profiles. Moschella et al., "Relative representations enable zero-shot latent
space communication", ICLR 2023, arXiv:2209.15430.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import MethodError

if TYPE_CHECKING:
    import torch


def profiles(states: torch.Tensor, anchors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """The cosines between states (N, C) and anchors (K, C), both minus ``mean`` (C,): (N, K) float64; 0 for what has no length.

    MethodError for other widths or no anchors.
    """
    import torch  # here, so that profiles are compared without it

    if states.shape[-1] != anchors.shape[-1] or mean.shape != anchors.shape[-1:] or not len(anchors):
        raise MethodError(f"States {tuple(states.shape)} and anchors {tuple(anchors.shape)} are not of one layer.")
    first, second = (rows.to(torch.float64) - mean for rows in (states, anchors))
    tiny = torch.finfo(torch.float64).tiny
    lengths = [rows.norm(dim=-1, keepdim=True) for rows in (first, second)]
    left, right = (
        torch.where(length > 0, rows / length.clamp_min(tiny), 0.0) for rows, length in zip((first, second), lengths, strict=True)
    )
    return left @ right.T


def correspondence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How alike each place of one layer is to each of another: profiles (N, K) and (M, K) -> correlations (N, M) float64 in -1..1.

    The correlation over anchors; 0 where a profile does not vary. With itself it says which places of one model are alike.
    """
    if first.shape[-1] != second.shape[-1]:
        raise MethodError(f"Profiles over {first.shape[-1]} and {second.shape[-1]} anchors cannot be compared: take the same anchors.")
    left, right = (
        _unit(profile - profile.mean(-1, keepdims=True)) for profile in (np.asarray(first, np.float64), np.asarray(second, np.float64))
    )
    return np.clip(left @ right.T, -1, 1)


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
