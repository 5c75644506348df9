"""One attention in one block: q and k, and whatever of its matrix is asked for, in row blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from vizlib.tracing.attention_tiles import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.tracing.recorder import AttentionCall
    from vizlib.tracing.token_grid import Grid

    Fusion = Callable[[torch.Tensor], torch.Tensor]

# A block of scores that stays in the cache; a GPU wants larger ones.
_CPU_BLOCK, _GPU_BLOCK = 1 << 21, 1 << 26


@dataclass(frozen=True, eq=False)
class AttentionSite:
    """One attention, kept as q (B, h, N, d) and k (B, h, M, d), never as an N x M matrix.

    Query and key tokens lie on ``query_grid`` and ``key_grid``, learned tokens first. Scores and softmax run in the tensors' precision,
    at least float32. For attention inside windows B counts image x window, and ``windows`` says how many there are. ``factor`` (B, h, N, M)
    makes of the shares the weights that values met, where these have any sign and sum.
    """

    name: str
    stage: int
    block: int
    query_grid: Grid
    key_grid: Grid
    q: torch.Tensor
    k: torch.Tensor
    scale: float
    bias: torch.Tensor | None = None
    v: torch.Tensor | None = None
    output: torch.Tensor | None = None
    gradient: torch.Tensor | None = None
    factor: torch.Tensor | None = field(default=None, kw_only=True, repr=False)

    @classmethod
    def of(cls, call: AttentionCall, name: str, stage: int, block: int, query_grid: Grid, key_grid: Grid) -> AttentionSite:
        """A recorded call with its name and place."""
        values = (call.q, call.k, call.scale, call.bias, call.v, call.output, call.gradient)
        return cls(name, stage, block, query_grid, key_grid, *values, factor=call.factor)

    @property
    def heads(self) -> int:
        """The number of heads."""
        return self.q.shape[1]

    @property
    def images(self) -> int:
        """The number of images in the batch."""
        return self.q.shape[0]

    @property
    def prefix(self) -> int:
        """The number of learned tokens among the queries."""
        return self.query_grid.prefix

    def image(self, index: int) -> AttentionSite:
        """The same site for one image of the batch."""
        rows = slice(index, index + 1)
        bias = self.bias if self.bias is None or self.bias.ndim < 4 or self.bias.shape[0] == 1 else self.bias[rows]
        kept = (self.v, self.output, self.gradient, self.factor)
        v, output, gradient, factor = (None if tensor is None else tensor[rows] for tensor in kept)
        return replace(self, q=self.q[rows], k=self.k[rows], bias=bias, v=v, output=output, gradient=gradient, factor=factor)

    def weights(self, rows: Sequence[int] | torch.Tensor | None = None, heads: Sequence[int] | None = None) -> torch.Tensor:
        """Softmax rows (heads, rows, keys) of the first image, all of them unless named; float32 or better, each row sums to 1."""
        index = None if rows is None else torch.as_tensor(rows, device=self.q.device)
        return self.block_weights(slice(0, 1), slice(None) if heads is None else list(heads), index)[0]

    def block_weights(self, images: slice, heads: slice | list[int], rows: torch.Tensor | None) -> torch.Tensor:
        """Softmax rows (images, heads, rows, keys) of some images, heads and query rows; None is all rows."""
        q, k = self.q[images][:, heads], self.k[images][:, heads]
        if rows is not None:
            q = q[:, :, rows]
        precision = torch.promote_types(q.dtype, torch.float32)
        scores = (q.to(precision) * self.scale) @ k.to(precision).transpose(-2, -1)
        if self.bias is not None:
            bias = self.bias.expand(self.images, self.heads, self.q.shape[2], self.k.shape[2])[images][:, heads]
            scores += bias if rows is None else bias[:, :, rows]
        return scores.softmax(-1)

    def pull(
        self,
        rows: torch.Tensor,
        fuse: Fusion | None = None,
        hidden: torch.Tensor | None = None,
        key_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Row vectors (B, R, N) times the head-fused matrix: (B, R, M) float64, in memory linear in N and M.

        ``fuse`` maps a block (B, h, n, M) to (B, n, M) non-negative rows, which are then scaled to sum to 1; None is the mean over heads.
        Keys that are ``hidden`` (B, M) weigh nothing, and the others share their rows. ``key_weights`` (B, h, M or 1), none below 0,
        multiply each head's weights before; a row of which they leave nothing keeps its own.
        """
        if fuse is None:
            if hidden is None and key_weights is None:
                return _pull_mean(self, rows)
            fuse = _mean_of_heads
        pulled = torch.zeros(*rows.shape[:2], self.k.shape[2], dtype=torch.float64, device=rows.device)
        for images, index, block in _blocks(self, rows):
            exact = _fused(block, fuse, hidden, images, key_weights)
            share = rows[images] if index is None else rows[images][:, :, index]
            pulled[images] += (share / exact.sum(-1)[:, None]) @ exact
        return pulled

    def carried(self, rows: torch.Tensor | None) -> Weights:
        """The unscaled weights of the query rows with these numbers, all of them for None, in float32 or better."""
        precision = torch.promote_types(self.q.dtype, torch.float32)
        q, bias = self.q.to(precision) * self.scale, self.bias
        if rows is not None:
            q = q[:, :, rows]
            bias = bias if bias is None or bias.ndim == 1 or bias.shape[-2] == 1 else bias[..., rows, :]
        return Weights(q, self.k.to(precision), bias)

    def pull_uniform(self, rows: torch.Tensor) -> torch.Tensor:
        """What ``pull`` gives where every key gets the same weight, except those that a mask forbids."""
        keys = self.k.shape[2]
        if self.bias is None or bool(torch.isfinite(self.bias).all()):
            return (rows.sum(-1, keepdim=True) / keys).expand(-1, -1, keys).clone()
        allowed = torch.isfinite(self.bias).to(torch.float64)
        allowed = allowed.expand(self.images, allowed.shape[-3] if allowed.ndim > 2 else 1, self.q.shape[2], keys)
        return rows @ (allowed / allowed.sum(-1, keepdim=True)).mean(1)


@dataclass(frozen=True, eq=False)
class PerformerSite(AttentionSite):
    """Performer attention (Choromanski et al. 2021), kept as features: q (B, 1, N, m), k (B, 1, M, m), both positive.

    Row t of its matrix is phi_q(t) phi_k^T over its sum: exactly what the forward used, up to ``lost`` (B, N), the share of each row
    that the forward's epsilon took. A row vector is pulled through in O(N m).
    """

    lost: torch.Tensor | None = None

    def image(self, index: int) -> PerformerSite:
        lost = None if self.lost is None else self.lost[index : index + 1]
        site = super().image(index)
        return replace(site, lost=lost)  # type: ignore[return-value,call-arg]

    def block_weights(self, images: slice, heads: slice | list[int], rows: torch.Tensor | None) -> torch.Tensor:
        q, k = self.q[images][:, heads], self.k[images][:, heads]
        shares = (q if rows is None else q[:, :, rows]) @ k.transpose(-2, -1)
        return shares / shares.sum(-1, keepdim=True)

    def carried(self, rows: torch.Tensor | None) -> Weights:
        return Weights(self.q if rows is None else self.q[:, :, rows], self.k, exponents=False)

    def pull(
        self,
        rows: torch.Tensor,
        fuse: Fusion | None = None,
        hidden: torch.Tensor | None = None,
        key_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if fuse is not None or hidden is not None or key_weights is not None:
            return super().pull(rows, fuse, hidden, key_weights)
        q, k = self.q[:, 0].to(torch.float64), self.k[:, 0].to(torch.float64)
        total = q @ k.sum(1)[:, :, None]
        return ((rows / total.transpose(1, 2)) @ q) @ k.transpose(1, 2)


def _mean_of_heads(weights: torch.Tensor) -> torch.Tensor:
    return weights.mean(1)


def _fused(block: torch.Tensor, fuse: Fusion, hidden: torch.Tensor | None, images: slice, key_weights: torch.Tensor | None) -> torch.Tensor:
    """Rows (b, n, M) float64 of a block (b, h, n, M) of some images, not yet scaled."""
    weighed = block if key_weights is None else block * key_weights[images][:, :, None]
    exact = fuse(weighed).to(torch.float64)
    if hidden is not None:
        exact = exact.masked_fill(hidden[images][:, None], 0)
    if key_weights is not None:
        empty = exact.sum(-1, keepdim=True) == 0
        if bool(empty.any()):
            exact = torch.where(empty, _fused(block, fuse, hidden, images, None), exact)
    return exact


def block_budget(site: AttentionSite) -> int:
    """How many weights a block of this site may hold."""
    return _GPU_BLOCK if site.q.is_cuda else _CPU_BLOCK


def carrying(rows: torch.Tensor) -> torch.Tensor | None:
    """The numbers of the columns of row vectors (B, R, N) that carry anything; None for all of them."""
    index = torch.nonzero((rows != 0).any(dim=1).any(dim=0)).squeeze(1)
    return None if len(index) == rows.shape[2] else index


def _pull_mean(site: AttentionSite, rows: torch.Tensor) -> torch.Tensor:
    """Row vectors (B, R, N) times the mean of the heads: (B, R, M) float64, their mass kept to float64's precision."""
    if bool((rows < 0).any()):
        return _pull_mean(site, rows.clamp_min(0)) - _pull_mean(site, rows.neg().clamp_min(0))
    pulled = torch.zeros(*rows.shape[:2], site.k.shape[2], dtype=torch.float64, device=rows.device)
    index = carrying(rows)
    shares = rows if index is None else rows[:, :, index]
    weights, budget = site.carried(index), block_budget(site)
    room = weights.room(budget)
    for tile in weights.tiles(budget):
        share = shares[tile.images, :, tile.rows]
        mass = share.sum(-1, keepdim=True)
        even = torch.where(mass > 0, share / mass, 0.0).to(room.dtype)
        total = torch.zeros(*share.shape[:2], weights.keys, dtype=room.dtype, device=room.device)
        for lanes in tile.lanes:
            block = weights.of(lanes, tile.rows, room)
            scaled = even[:, None] / block.sum(1).unflatten(0, (len(even), -1))[:, :, None]
            total += (scaled.flatten(0, 1) @ block.transpose(1, 2)).unflatten(0, (len(even), -1)).sum(1)
        exact = total.to(torch.float64)
        # What rounding took from the mass or added to it is given back evenly.
        pulled[tile.images] += exact * torch.where(mass > 0, mass / exact.sum(-1, keepdim=True), 0.0)
    return pulled


def _blocks(site: AttentionSite, rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor | None, torch.Tensor]]:
    """Blocks (b, h, n, M) with the images and the query rows they belong to; rows that carry nothing are left out."""
    images, heads, queries, keys = site.images, site.heads, site.q.shape[2], site.k.shape[2]
    budget, index = block_budget(site), carrying(rows)
    count = queries if index is None else len(index)
    if heads * count * keys <= budget:
        step = max(1, budget // max(1, heads * count * keys))
        for start in range(0, images, step):
            chosen = slice(start, min(start + step, images))
            yield chosen, index, site.block_weights(chosen, slice(None), index)
        return
    every = torch.arange(queries, device=site.q.device) if index is None else index
    for image in range(images):
        chosen = slice(image, image + 1)
        for part in every.split(max(1, budget // (heads * keys))):
            yield chosen, part, site.block_weights(chosen, slice(None), part)
