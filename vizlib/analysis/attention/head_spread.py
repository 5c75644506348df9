"""How far and how wide the heads of a whole batch look: entropy and distance, in row blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.analysis.attention.head_statistics import centres, check_whole
from vizlib.tracing.windowed_attention import WindowedSite

if TYPE_CHECKING:
    from vizlib.tracing.attention_site import AttentionSite

_BLOCK = 1 << 22  # weights in memory at once


@dataclass(frozen=True, eq=False)
class HeadSpread:
    """One attention of a batch: ``entropy`` in bits and ``distance`` in input pixels, (B, heads) float64 each.

    Defined as in ``analysis.heads``; the distance is NaN where queries or keys lie on no grid.
    """

    entropy: torch.Tensor
    distance: torch.Tensor


def head_spread(site: AttentionSite, size: tuple[int, int]) -> HeadSpread:
    """The mean over patches as queries of -sum p log2 p and of sum p |query - key| / sum p over patches as keys, on an input (h, w).

    Dosovitskiy et al., ICLR 2021, Figure 7, and Raghu et al., "Do Vision Transformers See Like Convolutional Neural Networks?", 2021,
    arXiv:2108.08810. Attention inside windows is read window by window, its padding as a learned key. MethodError for any other layout.
    """
    windows = site.layout.windows if isinstance(site, WindowedSite) else 1
    if not isinstance(site, WindowedSite):
        check_whole(site.image(0))
    gaps, asks = _gaps(site, size)
    images, keys = site.images // windows, site.k.shape[2]
    rows = torch.nonzero(asks.any(0)).flatten().to(site.q.device)
    entropy, distance, queries, seen = (torch.zeros(images, site.heads, dtype=torch.float64, device=site.q.device) for _ in range(4))
    for image in range(images):
        lanes = slice(image * windows, (image + 1) * windows)
        for part in rows.split(max(1, _BLOCK // (windows * site.heads * keys))):
            weights = site.block_weights(lanes, slice(None), part)
            asking = asks[:, None, part].to(weights)
            bits = -torch.xlogy(weights, weights).sum(-1) / torch.log(weights.new_tensor(2.0))
            entropy[image] += (bits * asking).sum((0, 2))
            queries[image] += asking.sum((0, 2))
            gap = gaps[:, None, part].to(weights)
            on_grid = torch.isfinite(gap)
            mass = (weights * on_grid).sum(-1)
            far = (weights * torch.where(on_grid, gap, 0.0)).sum(-1)
            counted = asking * (mass > 0)
            distance[image] += (torch.where(mass > 0, far / mass.clamp_min(torch.finfo(mass.dtype).tiny), 0.0) * asking).sum((0, 2))
            seen[image] += counted.sum((0, 2))
    # 0 / 0, a mean over no query, is NaN as it should be.
    return HeadSpread(entropy / queries, distance / seen)


def _gaps(site: AttentionSite, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances (W, n, m) in pixels, NaN where one end lies on no grid, and which queries (W, n) are counted."""
    queries, keys = site.query_grid, site.key_grid
    if isinstance(site, WindowedSite):
        points = _padded(torch.from_numpy(centres(site.layout.grid, size)), 1)
        at = points[site.layout.places + 1]
        gaps = torch.linalg.vector_norm(at[:, :, None] - at[:, None], dim=-1)
        return gaps.to(site.q.device), (site.layout.places >= 0).to(site.q.device)
    at, to = (_padded(torch.from_numpy(centres(grid, size)), grid.prefix) for grid in (queries, keys))
    asks = torch.ones(1, queries.tokens, dtype=torch.bool)
    if queries.cells:
        asks[:, : queries.prefix] = False
    return torch.cdist(at, to)[None].to(site.q.device), asks.to(site.q.device)


def _padded(points: torch.Tensor, prefix: int) -> torch.Tensor:
    return torch.cat([points.new_full((prefix, 2), torch.nan), points])
