"""Tokens as pictures: how long they are, which way they point, which ones are alike."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.analysis.features.principal_colours import principal_colours
from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Sequence


def norm_map(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The Euclidean length of each token: (N, C) -> (h, w) float64, cells row by row.

    VizlibError when the tokens are not as many as the grid (h, w) has cells; leave class tokens out before.
    """
    _check(tokens)
    if len(tokens) != grid[0] * grid[1]:
        raise VizlibError(f"{len(tokens)} tokens do not fill a grid of {grid[0]} x {grid[1]}: pass the tokens of its cells alone.")
    return tokens.to(torch.float64).norm(dim=1).reshape(grid)


def pca_rgb(tokens: torch.Tensor | Sequence[torch.Tensor], *, shared: bool = False) -> list[torch.Tensor]:
    """The first three principal components as red, green and blue: sets (N_i, C_i) -> a list of (N_i, 3) float64 in 0..1.

    Each component is scaled from its 1st to its 99th percentile; one that does not vary is 0.5 throughout. The sign makes the largest
    loading of a component positive, so that the same tokens always get the same colours. ``shared`` gives all sets one basis and one
    scale, each set counting the same however many tokens it has; VizlibError when their widths then differ.
    """
    sets = [tokens] if isinstance(tokens, torch.Tensor) else list(tokens)
    for token_set in sets:
        _check(token_set)
    arrays = [token_set.detach().to("cpu", torch.float64).numpy() for token_set in sets]
    if not shared:
        return [torch.from_numpy(principal_colours([array])[0]) for array in arrays]
    if len({token_set.shape[1] for token_set in sets}) > 1:
        raise VizlibError(
            f"Token sets of widths {', '.join(str(token_set.shape[1]) for token_set in sets)} have no basis in common: compare like widths."
        )
    return [torch.from_numpy(colours) for colours in principal_colours(arrays)]


def cosine_map(tokens: torch.Tensor, index: int) -> torch.Tensor:
    """The cosine of the angle between each token and token ``index``: (N, C) -> (N,) float64 in -1..1; 0 for a token of zeros."""
    _check(tokens)
    if not -len(tokens) <= index < len(tokens):
        raise VizlibError(f"There is no token {index} among {len(tokens)}.")
    wide = tokens.to(torch.float64)
    unit = wide / wide.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    return (unit @ unit[index]).clamp(-1, 1)


def kmeans_map(tokens: torch.Tensor, clusters: int, seed: int = 0) -> torch.Tensor:
    """Tokens in groups by k-means with k-means++ seeds: (N, C) -> (N,) int64 labels, the largest group 0.

    Groups of one size are ordered by their first token. Fewer distinct tokens than ``clusters`` give fewer groups.
    Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", 2007.
    """
    from scipy.cluster.vq import kmeans2

    _check(tokens)
    if clusters < 1:
        raise VizlibError(f"{clusters} clusters hold no tokens: ask for at least 1.")
    points = tokens.detach().to("cpu", torch.float64).numpy()
    count = min(clusters, len(np.unique(points, axis=0)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        _, labels = kmeans2(points, count, iter=30, minit="++", seed=np.random.default_rng(seed))
    clusters_used, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    rank = np.empty(count, dtype=np.int64)
    rank[clusters_used[order]] = np.arange(len(clusters_used))
    return torch.from_numpy(rank[labels])


def _check(tokens: torch.Tensor) -> None:
    if tokens.ndim != 2 or not tokens.numel():
        raise VizlibError(f"Tokens of shape {tuple(tokens.shape)} cannot be drawn: pass a tensor (tokens, channels).")
    if not bool(torch.isfinite(tokens).all()):
        raise VizlibError("The tokens hold NaN or infinity, so they have no map.")
