"""One attention in one block: q and k, and whatever of its matrix is asked for, in row blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.tracing.grids import Grid
    from vizlib.tracing.recorder import AttentionCall

# A block of scores that stays in a core's cache; a GPU wants larger ones.
_CPU_BLOCK, _GPU_BLOCK = 1 << 19, 1 << 26

Fusion = "Callable[[torch.Tensor], torch.Tensor]"


@dataclass(frozen=True)
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

    @classmethod
    def of(cls, call: AttentionCall, name: str, stage: int, block: int, query_grid: Grid, key_grid: Grid) -> AttentionSite:
        """A recorded call with its name and place."""
        return cls(name, stage, block, query_grid, key_grid, call.q, call.k, call.scale, call.bias, call.v, call.output)

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
        v, output = (None if tensor is None else tensor[rows] for tensor in (self.v, self.output))
        return replace(self, q=self.q[rows], k=self.k[rows], bias=bias, v=v, output=output)

    def weights(self, rows: Sequence[int] | torch.Tensor | None = None, heads: Sequence[int] | None = None) -> torch.Tensor:
        """Softmax rows (heads, rows, keys) of the first image, all of them unless named; float32 or better, each row sums to 1."""
        device = self.q.device
        row_index = None if rows is None else torch.as_tensor(rows, device=device)
        weights = _softmax(self, slice(0, 1), slice(None) if heads is None else list(heads), row_index)[0]
        return weights

    def pull(self, rows: torch.Tensor, fuse: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        """Row vectors (B, R, N) times the head-fused matrix: (B, R, M) float64, in memory linear in N and M.

        ``fuse`` maps a block (B, h, n, M) to (B, n, M) non-negative rows, which are then scaled to sum to 1; None is the mean over heads.
        """
        pulled = torch.zeros(*rows.shape[:2], self.k.shape[2], dtype=torch.float64, device=rows.device)
        for images, index, block in _blocks(self, rows, fuse):
            block = block.to(torch.float64)
            share = rows[images] if index is None else rows[images][:, :, index]
            pulled[images] += (share / block.sum(-1)[:, None]) @ block
        return pulled

    def pull_uniform(self, rows: torch.Tensor) -> torch.Tensor:
        """What ``pull`` gives where every key gets the same weight, except those that a mask forbids."""
        if self.bias is None:
            keys = self.k.shape[2]
            return (rows.sum(-1, keepdim=True) / keys).expand(-1, -1, keys).clone()
        allowed = torch.isfinite(self.bias).to(torch.float64).expand(self.images, -1, self.q.shape[2], -1)[:, 0]
        return (rows / allowed.sum(-1)[:, None]) @ allowed


def _blocks(
    site: AttentionSite, rows: torch.Tensor, fuse: Callable[[torch.Tensor], torch.Tensor] | None
) -> Iterator[tuple[slice, torch.Tensor | None, torch.Tensor]]:
    """Head-fused softmax blocks with the images and the query rows they belong to; rows that carry nothing are left out."""
    images, heads, queries, keys = site.images, site.heads, site.q.shape[2], site.k.shape[2]
    budget = _GPU_BLOCK if site.q.is_cuda else _CPU_BLOCK
    index = torch.nonzero((rows != 0).any(dim=1).any(dim=0)).squeeze(1).to(site.q.device)
    whole = len(index) == queries
    if heads * len(index) * keys <= budget:
        step = max(1, budget // max(1, heads * len(index) * keys))
        for start in range(0, images, step):
            chosen = slice(start, min(start + step, images))
            weights = _softmax(site, chosen, slice(None), None if whole else index)
            yield chosen, None if whole else index, weights.mean(1) if fuse is None else fuse(weights)
        return
    if fuse is not None:
        step = max(1, budget // (heads * keys))
        for image in range(images):
            for part in index.split(step):
                chosen = slice(image, image + 1)
                yield chosen, part, fuse(_softmax(site, chosen, slice(None), part))
        return
    step = max(1, budget // keys)
    for image in range(images):
        chosen = slice(image, image + 1)
        for part in index.split(step):
            total = _softmax(site, chosen, [0], part)[:, 0]
            for head in range(1, heads):
                total += _softmax(site, chosen, [head], part)[:, 0]
            yield chosen, part, total


def _softmax(site: AttentionSite, images: slice, heads: slice | list[int], rows: torch.Tensor | None) -> torch.Tensor:
    q, k = site.q[images][:, heads], site.k[images][:, heads]
    if rows is not None:
        q = q[:, :, rows]
    precision = torch.promote_types(q.dtype, torch.float32)
    scores = (q.to(precision) * site.scale) @ k.to(precision).transpose(-2, -1)
    if site.bias is not None:
        bias = site.bias.expand(site.images, site.heads, site.q.shape[2], site.k.shape[2])[images][:, heads]
        scores += bias if rows is None else bias[:, :, rows]
    return scores.softmax(-1)
