"""One attention in one block: q and k, and whatever of its matrix is asked for, in row blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.tracing.grids import Grid
    from vizlib.tracing.recorder import AttentionCall

    Fusion = Callable[[torch.Tensor], torch.Tensor]

# A block of scores that stays in a core's cache; a GPU wants larger ones.
_CPU_BLOCK, _GPU_BLOCK = 1 << 19, 1 << 26


@dataclass(frozen=True, eq=False)
class AttentionSite:
    """One attention, kept as q (B, h, N, d) and k (B, h, M, d), never as an N x M matrix.

    Query and key tokens lie on ``query_grid`` and ``key_grid``, learned tokens first. Scores and softmax run in the tensors' precision,
    at least float32. For attention inside windows B counts image x window, and ``windows`` says how many there are.
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

    @classmethod
    def of(cls, call: AttentionCall, name: str, stage: int, block: int, query_grid: Grid, key_grid: Grid) -> AttentionSite:
        """A recorded call with its name and place."""
        return cls(name, stage, block, query_grid, key_grid, call.q, call.k, call.scale, call.bias, call.v, call.output, call.gradient)

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
        v, output, gradient = (None if tensor is None else tensor[rows] for tensor in (self.v, self.output, self.gradient))
        return replace(self, q=self.q[rows], k=self.k[rows], bias=bias, v=v, output=output, gradient=gradient)

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

    def pull(self, rows: torch.Tensor, fuse: Fusion | None = None) -> torch.Tensor:
        """Row vectors (B, R, N) times the head-fused matrix: (B, R, M) float64, in memory linear in N and M.

        ``fuse`` maps a block (B, h, n, M) to (B, n, M) non-negative rows, which are then scaled to sum to 1; None is the mean over heads.
        """
        pulled = torch.zeros(*rows.shape[:2], self.k.shape[2], dtype=torch.float64, device=rows.device)
        for images, index, block in _blocks(self, rows, fuse):
            exact = block.to(torch.float64)
            share = rows[images] if index is None else rows[images][:, :, index]
            pulled[images] += (share / exact.sum(-1)[:, None]) @ exact
        return pulled

    def pull_uniform(self, rows: torch.Tensor) -> torch.Tensor:
        """What ``pull`` gives where every key gets the same weight, except those that a mask forbids."""
        keys = self.k.shape[2]
        if self.bias is None or bool(torch.isfinite(self.bias).all()):
            return (rows.sum(-1, keepdim=True) / keys).expand(-1, -1, keys).clone()
        allowed = torch.isfinite(self.bias).to(torch.float64).expand(self.images, -1, self.q.shape[2], -1)[:, 0]
        return (rows / allowed.sum(-1)[:, None]) @ allowed


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

    def pull(self, rows: torch.Tensor, fuse: Fusion | None = None) -> torch.Tensor:
        if fuse is not None:
            return super().pull(rows, fuse)
        q, k = self.q[:, 0].to(torch.float64), self.k[:, 0].to(torch.float64)
        total = q @ k.sum(1)[:, :, None]
        return ((rows / total.transpose(1, 2)) @ q) @ k.transpose(1, 2)


def _blocks(site: AttentionSite, rows: torch.Tensor, fuse: Fusion | None) -> Iterator[tuple[slice, torch.Tensor | None, torch.Tensor]]:
    """Head-fused blocks with the images and the query rows they belong to; rows that carry nothing are left out."""
    images, heads, queries, keys = site.images, site.heads, site.q.shape[2], site.k.shape[2]
    budget = _GPU_BLOCK if site.q.is_cuda else _CPU_BLOCK
    carrying = torch.nonzero((rows != 0).any(dim=1).any(dim=0)).squeeze(1).to(site.q.device)
    index = None if len(carrying) == queries else carrying
    if heads * len(carrying) * keys <= budget:
        step = max(1, budget // max(1, heads * len(carrying) * keys))
        for start in range(0, images, step):
            chosen = slice(start, min(start + step, images))
            weights = site.block_weights(chosen, slice(None), index)
            yield chosen, index, weights.mean(1) if fuse is None else fuse(weights)
        return
    for image in range(images):
        chosen = slice(image, image + 1)
        if fuse is None:
            yield from ((chosen, part, block) for part, block in _head_by_head(site, image, carrying.split(max(1, budget // keys))))
            continue
        for part in carrying.split(max(1, budget // (heads * keys))):
            yield chosen, part, fuse(site.block_weights(chosen, slice(None), part))


def _head_by_head(site: AttentionSite, image: int, parts: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """For each part of one image's rows the sum of its heads' softmax rows (1, n, M); the row's scaling makes that the mean.

    One head's block stays in the cache, and the same memory serves every block: fresh pages would cost more than the arithmetic. A block
    is only valid until the next one.
    """
    precision = torch.promote_types(site.q.dtype, torch.float32)
    q, k = site.q[image].to(precision) * site.scale, site.k[image].to(precision).transpose(-2, -1)
    bias = None if site.bias is None else site.bias.expand(site.images, site.heads, q.shape[1], k.shape[2])[image]
    scores, shares, total = (q.new_empty(max(map(len, parts)), k.shape[2]) for _ in range(3))
    for part in parts:
        rows = slice(len(part))
        queries = q[:, part]
        for head in range(site.heads):
            torch.mm(queries[head], k[head], out=scores[rows])
            if bias is not None:
                scores[rows] += bias[head, part]
            torch.softmax(scores[rows], -1, out=shares[rows] if head else total[rows])
            if head:
                total[rows] += shares[rows]
        yield part, total[None, rows]
