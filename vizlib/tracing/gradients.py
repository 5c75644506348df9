"""The gradient of a score with respect to attention weights, formed in row blocks from the gradient at the attention's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vizlib.tracing import site as sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vizlib.tracing.site import AttentionSite

    Combine = Callable[[torch.Tensor, Callable[[], torch.Tensor]], torch.Tensor]


def slopes(site: AttentionSite, images: slice, heads: slice, rows: torch.Tensor | None) -> torch.Tensor:
    """dL/dP = dL/dO V^T of some images, heads and query rows: (images, heads, rows, keys) in float32 or better; None is all rows."""
    if site.gradient is None or site.v is None:
        raise ValueError(f"{site.name} was recorded without values and gradient")
    v, gradient = site.v[images, heads], site.gradient[images, heads]
    if rows is not None:
        gradient = gradient[:, :, rows]
    precision = torch.promote_types(v.dtype, torch.float32)
    return gradient.to(precision) @ v.to(precision).transpose(-2, -1)


def gradient_blocks(site: AttentionSite, rows: torch.Tensor, combine: Combine) -> Iterator[tuple[slice, torch.Tensor | None, torch.Tensor]]:
    """The head mean of ``combine(slopes, weights)`` in blocks (images, n, M), with the images and the query rows each belongs to.

    ``slopes`` is the block of dL/dP (images, heads, n, M), which may be written over, and ``weights()`` that of P. Rows where all of
    ``rows`` (B, R, N) is zero are left out; index None is every row. No more than one block of one head exists where blocks are large.
    """
    heads, keys = site.heads, site.k.shape[2]
    budget = sites._GPU_BLOCK if site.q.is_cuda else sites._CPU_BLOCK
    carrying = torch.nonzero((rows != 0).any(dim=1).any(dim=0)).squeeze(1).to(site.q.device)
    whole = heads * len(carrying) * keys
    if whole == 0:
        return

    def tile(images: slice, which: slice, part: torch.Tensor | None) -> torch.Tensor:
        return combine(slopes(site, images, which, part), lambda: site.block_weights(images, which, part))

    if whole <= budget:
        index = None if len(carrying) == rows.shape[2] else carrying
        step = budget // whole
        for start in range(0, site.images, step):
            images = slice(start, min(start + step, site.images))
            yield images, index, tile(images, slice(None), index).mean(1)
        return
    # Head by head, a block of weights and one of slopes at a time, so that both stay in the cache.
    for image in range(site.images):
        images = slice(image, image + 1)
        for part in carrying.split(max(1, budget // (2 * keys))):
            total = tile(images, slice(0, 1), part)[:, 0]
            for head in range(1, heads):
                total += tile(images, slice(head, head + 1), part)[:, 0]
            yield images, part, total / heads


def pull_positive(site: AttentionSite, rows: torch.Tensor) -> torch.Tensor:
    """Row vectors (B, R, N) times mean_h relu(dL/dP * P): (B, R, M) float64."""
    pulled = rows.new_zeros(*rows.shape[:2], site.k.shape[2])
    for images, index, block in gradient_blocks(site, rows, lambda slope, weights: slope.mul_(weights()).relu_()):
        share = rows[images] if index is None else rows[images][:, :, index]
        pulled[images] += share @ block.to(torch.float64)
    return pulled


def pull_stochastic(site: AttentionSite, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row vectors (B, R, N) times relu(mean_h dL/dP * P) with its rows scaled to sum to 1: (B, R, M) float64.

    A row without any positive entry has no scale: its share is not pulled, and comes back as the second vector (B, R, N).
    """
    pulled, held = rows.new_zeros(*rows.shape[:2], site.k.shape[2]), torch.zeros_like(rows)
    for images, index, block in gradient_blocks(site, rows, lambda slope, weights: slope.mul_(weights())):
        exact = block.to(torch.float64).relu_()
        total = exact.sum(-1)[:, None]
        share = rows[images] if index is None else rows[images][:, :, index]
        scaled = torch.where(total > 0, share / total.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        pulled[images] += scaled @ exact
        silent = torch.where(total > 0, 0.0, share)
        if index is None:
            held[images] = silent
        else:
            held[images, :, index] = silent
    return pulled, held


def mean_positive_slopes(site: AttentionSite) -> torch.Tensor:
    """The mean of relu(dL/dP) over heads and query rows: (B, M) float64, how much each key's weight could raise the score."""
    queries = site.q.shape[2]
    every = torch.ones(site.images, 1, queries, dtype=torch.float64, device=site.q.device)
    found = every.new_zeros(site.images, site.k.shape[2])
    for images, _, block in gradient_blocks(site, every, lambda slope, _: slope.relu_()):
        found[images] += block.to(torch.float64).sum(1)
    return found / queries
