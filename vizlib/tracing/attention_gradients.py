"""The gradient of a score with respect to attention weights, formed a tile at a time from the gradient at the attention's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vizlib.tracing.attention_site import block_budget, carrying
from vizlib.tracing.attention_tiles import product, room, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.attention_tiles import Tile

# A weight so much smaller than the others of its row is what a mask has left: Swin's are -100, not minus infinity, and e^-100 is 4e-44.
MASKED = 1e-30


def pull_positive(site: AttentionSite, rows: torch.Tensor) -> torch.Tensor:
    """Row vectors (B, R, N) times mean_h relu(dL/dP * P): (B, R, M) float64."""
    pulled = rows.new_zeros(*rows.shape[:2], site.k.shape[2])
    index = carrying(rows)
    shares = rows if index is None else rows[:, :, index]
    for tile, block in _weighted_slopes(site, index, positive=True):
        pulled[tile.images] += shares[tile.images, :, tile.rows] @ block.transpose(1, 2)
    return pulled / site.heads


def pull_stochastic(site: AttentionSite, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row vectors (B, R, N) times relu(mean_h dL/dP * P) with its rows scaled to sum to 1: (B, R, M) float64.

    A row without any positive entry, or only with some that a mask of large negative numbers has left, has no scale: its share is not
    pulled, and comes back as the second vector (B, R, N).
    """
    pulled, held = rows.new_zeros(*rows.shape[:2], site.k.shape[2]), torch.zeros_like(rows)
    index = carrying(rows)
    places = torch.arange(rows.shape[2], device=rows.device) if index is None else index
    for tile, block in _weighted_slopes(site, index, positive=False):
        places_here = places[tile.rows]
        share = rows[tile.images][:, :, places_here]
        against = block.amin(1)[:, None].neg_()
        total = block.relu_().sum(1)[:, None]
        speaks = total > (MASKED * against).clamp_min_(0)
        scaled = torch.where(speaks, share / total.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        pulled[tile.images] += scaled @ block.transpose(1, 2)
        held[tile.images, :, places_here] = torch.where(speaks, 0.0, share)
    return pulled, held


def mean_positive_slopes(site: AttentionSite) -> torch.Tensor:
    """The mean of relu(dL/dP) over heads and query rows: (B, M) float64, how much each key's weight could raise the score."""
    v, gradient = _lanes(site, None)
    images, queries, keys, budget = site.images, site.q.shape[2], v.shape[1], block_budget(site)
    means = torch.zeros(images, keys, dtype=torch.float64, device=v.device)
    memory = room(v, images * site.heads, queries, keys, budget)
    for tile in tiles(images, site.heads, queries, keys, budget):
        for lanes in tile.lanes:
            slope = product(v[lanes], gradient[lanes, :, tile.rows], memory).relu_()
            means[tile.images] += slope.sum(2, dtype=torch.float64).unflatten(0, (tile.images.stop - tile.images.start, -1)).sum(1)
    return means / (site.heads * queries)


def slope_sums(site: AttentionSite, power: int) -> torch.Tensor:
    """The sum of |dL/dP|^power over each head's queries and keys, for power 1 or 2: (B, h) float64.

    The squares need no block: sum_ij (v_j . g_i)^2 is the inner product of v^T v and g^T g.
    """
    v, gradient = _lanes(site, None)
    if power == 2:
        v, gradient = v.double(), gradient.double()
        return ((v.transpose(1, 2) @ v) * (gradient @ gradient.transpose(1, 2))).sum((1, 2)).clamp_min(0).unflatten(0, (site.images, -1))
    images, queries, keys, budget = site.images, site.q.shape[2], v.shape[1], block_budget(site)
    sums = torch.zeros(images * site.heads, dtype=torch.float64, device=v.device)
    memory = room(v, len(sums), queries, keys, budget)
    for tile in tiles(images, site.heads, queries, keys, budget):
        for lanes in tile.lanes:
            sums[lanes] += product(v[lanes], gradient[lanes, :, tile.rows], memory).abs_().sum((1, 2), dtype=torch.float64)
    return sums.unflatten(0, (images, -1))


def _lanes(site: AttentionSite, index: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """v (L, M, d) and dL/dO of the rows ``index`` (L, d, n) in float32 or better, so that dL/dP = v dL/dO, keys by rows."""
    if site.gradient is None or site.v is None:
        raise ValueError(f"{site.name} was recorded without values and gradient")
    precision = torch.promote_types(site.v.dtype, torch.float32)
    gradient = site.gradient if index is None else site.gradient[:, :, index]
    return site.v.to(precision).flatten(0, 1), gradient.to(precision).transpose(-2, -1).contiguous().flatten(0, 1)


def _weighted_slopes(site: AttentionSite, index: torch.Tensor | None, *, positive: bool) -> Iterator[tuple[Tile, torch.Tensor]]:
    """The sum over heads of dL/dP * P, or of its positive part, keys by rows (b, M, n) float64, for each tile of the rows ``index``.

    P are the weights that values met: where heads were mixed, shares times their factor.

    The gradient's rows are divided by the sums of the weights' first, so that P is never written. The block is only valid until the next.
    """
    v, gradient = _lanes(site, index)
    weights, budget = site.carried(index), block_budget(site)
    first, second, third = (weights.room(budget) for _ in range(3))
    exact = torch.empty_like(third, dtype=torch.float64)
    factor = site.factor if site.factor is None or index is None else site.factor[:, :, index]
    factor = None if factor is None else factor.transpose(-2, -1).flatten(0, 1)
    for tile in weights.tiles(budget):
        images = tile.images.stop - tile.images.start
        total: torch.Tensor | None = None
        for lanes in tile.lanes:
            block = weights.of(lanes, tile.rows, first)
            slope = product(v[lanes], gradient[lanes, :, tile.rows] / block.sum(1, keepdim=True), second)
            if factor is not None:
                slope.mul_(factor[lanes, :, tile.rows])
            if positive:
                slope.relu_()
            if len(tile.lanes) == 1:
                total = slope.mul_(block).unflatten(0, (images, -1)).sum(1)
            elif total is None:
                total = torch.mul(slope, block, out=third[: slope.numel()].view(slope.shape))
            else:
                total.addcmul_(slope, block)
        assert total is not None  # noqa: S101  a tile has lanes
        yield tile, exact[: total.numel()].view(total.shape).copy_(total)
