"""Queries and keys of one head in one plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    return query_key_planes([(queries, keys)])[0]


def query_key_planes(pictures: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[QueryKeyPlane]:
    """Queries (N, d) and keys (M, d) of one head over several pictures, all in the one plane of their exact PCA.

    They are normalised together, which leaves the attention in each picture as it is. The correlation, one for all, is over the pairs
    that meet: a query and a key of one picture.
    """
    counts = [(len(queries), len(keys)) for queries, keys in pictures]
    q, k = normalised(torch.cat([queries for queries, _ in pictures]), torch.cat([keys for _, keys in pictures]))
    points = torch.cat([q, k])
    points = points - points.mean(0)
    _, sizes, directions = torch.linalg.svd(points, full_matrices=False)
    flat = points @ directions[:2].T
    spread = sizes.square()
    shares = spread[:2] / spread.sum().clamp_min(torch.finfo(torch.float64).tiny)
    query_counts, key_counts = ([count[place] for count in counts] for place in (0, 1))
    asking, found = flat[: len(q)].split(query_counts), flat[len(q) :].split(key_counts)
    nearness = torch.cat([-torch.cdist(one, other).square().flatten() for one, other in zip(asking, found, strict=True)])
    products = torch.cat([(one @ other.T).flatten() for one, other in zip(q.split(query_counts), k.split(key_counts), strict=True)])
    correlation = float(torch.corrcoef(torch.stack([nearness, products]))[0, 1])
    return [QueryKeyPlane(one, other, shares, correlation) for one, other in zip(asking, found, strict=True)]
