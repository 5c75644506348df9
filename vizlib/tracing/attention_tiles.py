"""Attention weights a tile at a time, not yet scaled: all that pulling a row vector through an attention needs.

Row i of a softmax is e_i / sum(e_i), so r P is the sum of (r_i / sum(e_i)) e_i: the matrix itself is never written. Tiles lie keys by rows,
where the arithmetic is fastest, and one piece of memory serves all of them: fresh pages would cost more than the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

# Scores within this range need no maximum subtracted: float32 holds their exponentials, sums and quotients with room to spare.
_CALM = 40.0


@dataclass(frozen=True)
class Tile:
    """Some images, a range of the carrying rows, and the lanes to take one after another; lane image * heads + head is one head."""

    images: slice
    rows: slice
    lanes: tuple[slice, ...]


def tiles(images: int, heads: int, rows: int, keys: int, budget: int) -> Iterator[Tile]:
    """Tiles of at most about ``budget`` numbers: whole images while they fit, else rows of one image, head by head."""
    whole = heads * rows * keys
    if whole == 0:
        return
    if whole <= budget:
        step = budget // whole
        for start in range(0, images, step):
            chosen = slice(start, min(start + step, images))
            yield Tile(chosen, slice(0, rows), (slice(chosen.start * heads, chosen.stop * heads),))
        return
    step = max(1, budget // keys)
    step -= step % 16 if step > 16 else 0
    for image in range(images):
        lanes = tuple(slice(lane, lane + 1) for lane in range(image * heads, (image + 1) * heads))
        for start in range(0, rows, step):
            yield Tile(slice(image, image + 1), slice(start, min(start + step, rows)), lanes)


def room(like: torch.Tensor, lanes: int, rows: int, keys: int, budget: int) -> torch.Tensor:
    """Memory for the numbers of any one tile."""
    return like.new_empty(min(lanes * rows * keys, max(budget, keys)))


class Weights:
    """Unscaled weights e of the carrying rows, from q (B, h, n, d) and k (B, h, M, d) in float32 or better.

    e is exp(q k^T + bias) up to a factor for each row, or q k^T itself where ``exponents`` is False. ``bias`` broadcasts to (B, h, n, M).
    """

    def __init__(self, q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor | None = None, *, exponents: bool = True) -> None:
        self.images, self.heads, self.rows, _ = q.shape
        self.keys, self.exponents = k.shape[2], exponents
        # Powers of two are a third of the work of powers of e.
        unit = math.log2(math.e) if exponents else 1.0
        self.calm = bias is None and _reach(q) * _reach(k) < _CALM
        self.q = (q * unit).transpose(-2, -1).contiguous().flatten(0, 1)
        self.k = k.contiguous().flatten(0, 1)
        self.bias = None if bias is None else (bias * unit).expand(self.images, self.heads, self.rows, self.keys).transpose(-2, -1)

    def tiles(self, budget: int) -> Iterator[Tile]:
        """The tiles of all its images and rows."""
        return tiles(self.images, self.heads, self.rows, self.keys, budget)

    def room(self, budget: int) -> torch.Tensor:
        """Memory for the weights of any one tile."""
        return room(self.k, self.images * self.heads, self.rows, self.keys, budget)

    def of(self, lanes: slice, rows: slice, room: torch.Tensor) -> torch.Tensor:
        """e (lanes, M, rows), written into ``room``."""
        scores = product(self.k[lanes], self.q[lanes, :, rows], room)
        if self.bias is not None:
            image, head = divmod(lanes.start, self.heads)
            if lanes.stop - lanes.start == 1:
                scores[0] += self.bias[image, head, :, rows]
            else:
                scores.unflatten(0, (-1, self.heads)).add_(self.bias[image : lanes.stop // self.heads, :, :, rows])
        if not self.exponents:
            return scores
        if not self.calm:
            scores -= scores.amax(1, keepdim=True)
        return scores.exp2_()


def _reach(vectors: torch.Tensor) -> float:
    return float(vectors.norm(dim=-1).max()) if vectors.numel() else 0.0


def product(left: torch.Tensor, right: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    """left (L, M, d) @ right (L, d, n), written into ``room``."""
    shape = (left.shape[0], left.shape[1], right.shape[2])
    out = room[: math.prod(shape)].view(shape)
    return torch.bmm(left, right, out=out)
