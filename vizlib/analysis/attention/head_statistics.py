"""What each head of each layer does, in numbers: how spread out, how far, how much to learned tokens and to itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.token_grid import Grid

_BLOCK = 1 << 21  # weights in memory at once
MEASURES = {
    "entropy": "How spread out a head looks: 0 bits is one token, each bit more doubles the number.",
    "distance": "How far a head looks on average, in pixels of the model's input, learned tokens left aside.",
    "learned": "The share of a head's attention that goes to learned tokens: class, distillation, registers.",
    "diagonal": "The share that stays: what a patch gives to the key at its own place.",
}


@dataclass(frozen=True, eq=False)
class SiteStatistics:
    """One attention, averaged over its patches as queries (over all queries where none is a patch); float64 (heads,) each.

    ``entropy`` -sum p log2 p in bits; ``distance`` sum p |query - key| / sum p over keys that are patches, between centres, in input pixels
    (Raghu et al. 2021); ``learned`` (heads, prefix) the share of each learned token; ``diagonal`` the share of the key whose
    cell holds the query's centre. NaN where a measure has no meaning.
    """

    name: str
    stage: int
    entropy: np.ndarray
    distance: np.ndarray
    learned: np.ndarray
    diagonal: np.ndarray


def check_whole(site: AttentionSite) -> None:
    """MethodError for attention inside windows, whose rows are not rows over the whole grid."""
    if site.q.shape[2] != site.query_grid.tokens or site.k.shape[2] != site.key_grid.tokens or site.images != 1:
        raise MethodError(f"{site.name} attends inside windows, or to several images at once, and is read here only over a whole grid.")


def head_statistics(site: AttentionSite, size: tuple[int, int]) -> SiteStatistics:
    """The numbers of one image's site on an input (h, w), in row blocks: memory linear in its tokens."""
    check_whole(site)
    queries, keys = site.query_grid, site.key_grid
    first = queries.prefix if queries.cells else 0
    sums = np.zeros((4, site.heads))
    learned = np.zeros((site.heads, keys.prefix))
    to, at = centres(keys, size), centres(queries, size)
    own = home(queries, keys)
    for rows, weights in _blocks(site, first, queries.tokens):
        cells = weights[..., keys.prefix :]
        sums[0] += entropy(weights).sum(-1)
        learned += weights[..., : keys.prefix].sum(1)
        if queries.cells and keys.cells:
            places = rows - first
            gaps = np.linalg.norm(at[places][:, None] - to[None], axis=-1)
            mass = cells.sum(-1)
            far = np.divide(np.einsum("hnm,nm->hn", cells, gaps), mass, out=np.zeros_like(mass), where=mass > 0)
            sums[1] += far.sum(-1)
            sums[2] += (mass > 0).sum(-1)
            sums[3] += np.take_along_axis(cells, own[places][None, :, None], -1)[..., 0].sum(-1)
    count = queries.tokens - first
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = sums[1] / sums[2]
    diagonal = sums[3] / count if queries.cells and keys.cells else np.full(site.heads, math.nan)
    return SiteStatistics(site.name, site.stage, sums[0] / count, distance, learned / count, diagonal)


def matrix(layers: Sequence[SiteStatistics], measure: str) -> np.ndarray:
    """One measure of all layers: (layers, most heads) float64, NaN where a layer has no such head or the measure no meaning."""
    if measure not in MEASURES:
        raise MethodError(f"Heads are measured by {', '.join(MEASURES)}, not by {measure!r}.")
    rows = [layer.learned.sum(-1) if measure == "learned" else getattr(layer, measure) for layer in layers]
    table = np.full((len(rows), max(map(len, rows), default=0)), math.nan)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    if measure == "learned":
        table[[index for index, layer in enumerate(layers) if not layer.learned.shape[1]]] = math.nan
    return table


@dataclass(frozen=True, eq=False)
class Row:
    """One token's attention through one head or the mean of heads: float64 weights over the tokens of ``grid``.

    A forward row sums to 1 and has its entropy in bits; a reverse one, what every query gives to this key, has none of that.
    """

    weights: np.ndarray
    grid: Grid
    entropy: float | None
    distance: float
    learned: np.ndarray

    def top(self, count: int = 5) -> list[tuple[int, int, float]]:
        """The cells with the most weight: (row, column, weight), the largest first."""
        cells = self.weights[self.grid.prefix :]
        order = np.argsort(-cells, kind="stable")[:count]
        return [(*divmod(int(cell), self.grid.width), float(cells[cell])) for cell in order]


def attention_row(site: AttentionSite, token: int, size: tuple[int, int], head: int | None = None, *, reverse: bool = False) -> Row:
    """The attention of one token of one image's site, learned tokens counted first; ``head`` None is the mean over heads.

    Reverse takes a key and gives what each query gives to it, formed in row blocks. MethodError for a token or head that is not there.
    """
    check_whole(site)
    source, grid = (site.key_grid, site.query_grid) if reverse else (site.query_grid, site.key_grid)
    if not 0 <= token < source.tokens:
        raise MethodError(f"{site.name} has tokens 0 to {source.tokens - 1} there ({source}); there is no {token}.")
    if head is not None and not 0 <= head < site.heads:
        raise MethodError(f"{site.name} has heads 0 to {site.heads - 1}; there is no {head}.")
    heads = slice(None) if head is None else slice(head, head + 1)
    if reverse:
        parts = [block[heads, :, token].mean(0) for _, block in _blocks(site, 0, site.q.shape[2])]
        weights = np.concatenate(parts)
    else:
        weights = site.weights([token])[heads, 0].double().mean(0).cpu().numpy()
    distance = math.nan
    cells = weights[grid.prefix :]
    if token >= source.prefix and grid.cells and cells.sum() > 0:
        here = centres(source, size)[token - source.prefix]
        distance = float(cells @ np.linalg.norm(centres(grid, size) - here, axis=-1) / cells.sum())
    return Row(weights, grid, None if reverse else float(entropy(weights)), distance, weights[: grid.prefix])


def entropy(weights: np.ndarray) -> np.ndarray:
    """-sum p log2 p over the last axis, in bits; 0 log 0 is 0."""
    return -(weights * np.log2(np.where(weights > 0, weights, 1))).sum(-1)


def centres(grid: Grid, size: tuple[int, int]) -> np.ndarray:
    """The centres (cells, 2) of a grid's cells as (y, x) on an input (h, w)."""
    down, across = ((np.arange(count) + 0.5) * side / max(1, count) for count, side in zip(grid.shape, size, strict=True))
    return np.stack(np.meshgrid(down, across, indexing="ij"), -1).reshape(-1, 2)


def home(queries: Grid, keys: Grid) -> np.ndarray:
    """For each cell of one grid the cell of another that holds its centre, (cells,)."""
    if not keys.cells or not queries.cells:
        return np.zeros(0, np.intp)
    places = (centres(queries, keys.shape)).astype(np.intp)
    return places[:, 0] * keys.width + places[:, 1]


def _blocks(site: AttentionSite, first: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The weights of the queries from ``first`` up to ``end`` in blocks: their indices (n,) and rows (heads, n, M) float64."""
    import torch  # here, so that what was measured is read without it

    for part in torch.arange(first, end).split(max(1, _BLOCK // (site.heads * site.k.shape[2]))):
        weights = site.block_weights(slice(0, 1), slice(None), part.to(site.q.device))[0]
        yield part.numpy(), weights.double().cpu().numpy()
