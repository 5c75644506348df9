"""Vectors as colours by their principal components: arrays, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPREAD = (0.01, 0.99)  # the quantiles that become 0 and 1, so that one token far out does not leave the others grey
_TINY = np.finfo(np.float64).tiny


def principal_colours(sets: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Sets (N_i, C) float64 in one basis and on one scale, each set counting the same: a list of (N_i, 3) in 0..1.

    Red, green and blue are the first three components, each from its 1st to its 99th percentile, 0.5 throughout where it does not vary.
    The sign makes the largest loading of a component positive.
    """
    mean = np.mean([tokens.mean(0) for tokens in sets], axis=0)
    covariance = np.sum([(tokens - mean).T @ (tokens - mean) / len(tokens) for tokens in sets], axis=0)
    variance, vectors = np.linalg.eigh(covariance)
    basis = vectors[:, ::-1][:, :3]
    loading = np.take_along_axis(basis, np.abs(basis).argmax(0)[None], 0)
    basis = basis * np.where(loading < 0, -1.0, 1.0)
    # What arithmetic leaves of a direction without variance is noise, and would be stretched into a picture.
    alive = variance[::-1][:3] > 1e-12 * max(variance[-1], _TINY)
    places = [(tokens - mean) @ basis for tokens in sets]
    low, high = (
        end(np.stack([np.quantile(place, share, axis=0) for place in places]), 0)
        for end, share in zip((np.min, np.max), _SPREAD, strict=True)
    )
    width = np.maximum(high - low, _TINY)
    colours = [np.where(alive & (high > low), np.clip((place - low) / width, 0, 1), 0.5) for place in places]
    missing = 3 - basis.shape[1]
    return [np.pad(tokens, ((0, 0), (0, missing)), constant_values=0.5) if missing > 0 else tokens for tokens in colours]
