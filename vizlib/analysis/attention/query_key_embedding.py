"""Queries and keys of one head in one plane."""

from __future__ import annotations

from typing import NamedTuple

import torch


class QueryKeyPlane(NamedTuple):
    """Where queries (N, 2) and keys (M, 2) lie, the share of their spread that each axis holds (2,), and how far the plane tells of scores.

    ``correlation`` is that of minus the squared distance in the plane with the product of query and key, over all pairs; NaN where one of
    them is constant.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    shares: torch.Tensor
    correlation: float


def normalised(queries: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries (N, d) and keys (M, d) with one centroid and one mean length, and every row's softmax over the keys as before; float64.

    Moving all keys by one vector adds the same to all scores of a query; scaling queries by c and keys by 1/c changes no product. Yeh et
    al., AttentionViz (2023), https://arxiv.org/abs/2305.03210.
    """
    q, k = queries.to(torch.float64), keys.to(torch.float64)
    k = k - k.mean(0)
    q_size, k_size = q.norm(dim=1).mean(), k.norm(dim=1).mean()
    scale = (k_size / q_size).sqrt() if q_size > 0 and k_size > 0 else q.new_ones(())
    q, k = q * scale, k / scale
    return q, k + q.mean(0)  # moved again, to the queries: still one vector for all keys


def query_key_plane(queries: torch.Tensor, keys: torch.Tensor) -> QueryKeyPlane:
    """The two directions in which normalised queries (N, d) and keys (M, d) together spread most: their exact PCA."""
    q, k = normalised(queries, keys)
    points = torch.cat([q, k])
    points = points - points.mean(0)
    _, sizes, directions = torch.linalg.svd(points, full_matrices=False)
    flat = points @ directions[:2].T
    spread = sizes.square()
    shares = spread[:2] / spread.sum().clamp_min(torch.finfo(torch.float64).tiny)
    nearness = -torch.cdist(flat[: len(q)], flat[len(q) :]).square()
    correlation = torch.corrcoef(torch.stack([nearness.flatten(), (q @ k.T).flatten()]))[0, 1]
    return QueryKeyPlane(flat[: len(q)], flat[len(q) :], shares, float(correlation))
