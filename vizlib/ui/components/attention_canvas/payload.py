"""Attention of one pass as bytes that a browser draws from: any row or column of any head, without asking again.

A small site is sent as its matrix; of a large one q and k are sent, from which a row is made when it is looked at; and where all of that
would be too much, a coarser matrix of pooled cells, to be replaced by the finer one on demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from vizlib.analysis.attention.head_statistics import check_whole
from vizlib.figures.layer_names import layer_title
from vizlib.tracing.attention_site import AttentionSite, PerformerSite
from vizlib.tracing.token_grid import Grid
from vizlib.ui.core import message_codec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib.passes.forward import Trace
    from vizlib.zoo.model import Model

BUDGET = 16_000_000  # bytes of one view
_QUICK = 4_000_000  # up to here the matrices have 16 bits, beyond it 8
_BLOCK = 1 << 21  # weights in memory at once
_COARSEST = 64
_Packed: TypeAlias = "tuple[dict[str, Any], dict[str, np.ndarray]]"  # what is said of a site, and its arrays


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn: the sites of one image in the order of execution and the names of learned tokens on the grids that have some."""

    sites: list[AttentionSite]
    names: tuple[str, ...]

    def prefix(self, grid: Grid) -> list[str]:
        """The names of a grid's learned tokens."""
        return [*self.names, *(f"learned token {index + 1}" for index in range(len(self.names), grid.prefix))][: grid.prefix]

    def title(self, index: int) -> str:
        """What a reader calls a site; where its module's name does not say, it is counted within its stage."""
        site = self.sites[index]
        if site.name == "readout":
            return "read-out"
        title = layer_title(site.name)
        if title != site.name:
            return title
        stages = list(dict.fromkeys(other.stage for other in self.sites))
        within = [number for number, other in enumerate(self.sites) if other.stage == site.stage]
        stage = f"stage {stages.index(site.stage) + 1}, " if len(stages) > 1 else ""
        return f"{stage}layer {within.index(index) + 1}"


def view(model: Model, trace: Trace) -> View:
    """The sites of a trace; a read-out that weighs the tokens by what they hold, as sequence pooling does, is the last of them.

    MethodError for attention inside windows.
    """
    sites = list(trace.attention)
    for site in sites:
        check_whole(site)
    row = trace.readout
    if row is not None and sites and int((row > 0).sum()) > 2 and float(row.max()) > 1.001 * float(row[row > 0].min()):
        last = sites[-1]
        # One query whose scores are the logarithms of the pooling weights, so that its softmax gives them back.
        query, scores = row.new_ones(1, 1, 1, 1), row.clamp_min(1e-30).log()
        pooled = AttentionSite(
            "readout", last.stage, last.block + 1, Grid(0, 0, 1), last.query_grid, query, scores[None, None, :, None], 1.0
        )
        sites.append(pooled)
    return View(sites, prefix_names(model))


def prefix_names(model: Model) -> tuple[str, ...]:
    """The learned tokens of a model in their order: class, distillation, registers."""
    module: Any = model.adapter.module
    count = int(getattr(module, "num_prefix_tokens", 1) or 0)
    names = [] if getattr(module, "cls_token", module) is None else ["class token"]
    if getattr(module, "dist_token", None) is not None:
        names.append("distillation token")
    registers = count - len(names)
    return tuple([*names, *(f"register {index + 1}" for index in range(registers))][: max(count, 1)])


def pack(shown: View, budget: int = BUDGET) -> bytes:
    """All sites in at most about ``budget`` bytes, the arrays of site i under ``i.name``.

    A weight from a matrix of C = 255 or 65,535 steps is off by at most peak (1 / C + 1 / 4 C^2), ``error`` in the header, peak the
    largest weight on a cell in its row; weights on learned tokens are float32.
    """
    bits = 16 if sum(_exact_bytes(site, 16) for site in shown.sites) <= _QUICK else 8
    sizes = [_exact_bytes(site, bits) for site in shown.sites]
    pools = [1] * len(sizes)
    if sum(sizes) > budget:
        pools = _pools(shown.sites, sizes, budget)
    packed = [
        _entry(shown, site, bits) if pool == 1 else _coarse_entry(shown, site, pool) for site, pool in zip(shown.sites, pools, strict=True)
    ]
    return _joined({}, packed)


def pack_site(shown: View, index: int, budget: int = BUDGET) -> bytes | None:
    """One site exactly, in the form of ``pack``; None where even that is over the budget."""
    site = shown.sites[index]
    if _exact_bytes(site, 8) > budget:
        return None
    return _joined({"index": index}, [_entry(shown, site, 16 if _exact_bytes(site, 16) <= _QUICK else 8)])


def _joined(header: dict[str, Any], sites: Sequence[_Packed]) -> bytes:
    arrays = {f"{index}.{name}": array for index, (_, parts) in enumerate(sites) for name, array in parts.items()}
    return message_codec.pack({**header, "sites": [facts for facts, _ in sites]}, arrays)


def _matrix_bytes(heads: int, queries: Grid, keys: Grid, bits: int) -> int:
    return heads * queries.tokens * (keys.cells * bits // 8 + 4 * keys.prefix + 4)


def _factor_bytes(site: AttentionSite) -> int:
    heads, queries, width = site.q.shape[1:]
    return 4 * heads * (queries * (width + 1) + site.k.shape[2] * width)


def _exact_bytes(site: AttentionSite, bits: int) -> int:
    whole = _matrix_bytes(site.heads, site.query_grid, site.key_grid, bits)
    return whole if site.bias is not None else min(whole, _factor_bytes(site))


def _pools(sites: Sequence[AttentionSite], sizes: Sequence[int], budget: int) -> list[int]:
    """The side of the cells that each site is pooled to: 1 for small sites, for all others the least that fits."""
    allowance = budget // len(sizes)
    small = [size <= allowance // 4 for size in sizes]
    for side in range(2, _COARSEST):
        spent = sum(
            size if keep else _matrix_bytes(site.heads, pooled(site.query_grid, side), pooled(site.key_grid, side), 8)
            for site, size, keep in zip(sites, sizes, small, strict=True)
        )
        # A view that opens at once leaves most of the budget to the site that is looked at.
        if spent <= max(_QUICK, budget // 4):
            return [1 if keep else side for keep in small]
    return [1 if keep else _COARSEST for keep in small]


def _entry(shown: View, site: AttentionSite, bits: int) -> _Packed:
    common = _described(shown, site, site.query_grid, site.key_grid)
    whole = _matrix_bytes(site.heads, site.query_grid, site.key_grid, bits)
    if site.bias is not None or whole <= _factor_bytes(site):
        facts, arrays = _matrix(np.concatenate([block for _, block in blocks(site)], 1), site.key_grid.prefix, bits)
    else:
        facts, arrays = _factors(site)
    return common | facts, arrays


def _coarse_entry(shown: View, site: AttentionSite, pool: int) -> _Packed:
    queries, keys = pooled(site.query_grid, pool), pooled(site.key_grid, pool)
    common = _described(shown, site, queries, keys)
    facts, arrays = _matrix(coarse(site, pool), keys.prefix, 8)
    return common | {"pool": pool} | facts, arrays


def _described(shown: View, site: AttentionSite, queries: Grid, keys: Grid) -> dict[str, Any]:
    return {
        "name": site.name,
        "title": shown.title(next(index for index, other in enumerate(shown.sites) if other is site)),
        "stage": site.stage,
        "heads": site.heads,
        "queries": list(queries.shape),
        "keys": list(keys.shape),
        "query_prefix": shown.prefix(queries) if queries.cells else _answers(queries.prefix),
        "key_prefix": shown.prefix(keys),
        "full": [list(site.query_grid.shape), list(site.key_grid.shape)],
    }


def _answers(count: int) -> list[str]:
    return ["the answer"] if count == 1 else [f"answer {index + 1}" for index in range(count)]


def _matrix(weights: np.ndarray, prefix: int, bits: int) -> _Packed:
    """Weights (heads, N, M): learned tokens in float32, cells as the root of their share of the row's peak, which keeps small ones."""
    steps = (1 << bits) - 1
    cells = weights[..., prefix:]
    peaks = cells.max(-1) if cells.shape[-1] else np.zeros(cells.shape[:2], np.float32)
    shares = np.sqrt(cells / np.maximum(peaks, 1e-30)[..., None])
    codes = np.rint(shares * steps).astype(np.uint8 if bits == 8 else "<u2")
    facts = {"coding": "matrix", "bits": bits, "error": 1 / steps + 1 / (4 * steps**2)}
    return facts, {"peaks": peaks.astype("<f4"), "learned": weights[..., :prefix].astype("<f4"), "codes": codes}


def _factors(site: AttentionSite) -> _Packed:
    """q with the scale in it and k, (heads, tokens, width), and what each row is divided by: its sum, or the logarithm of that."""
    q, k = (part[0].to(torch.float64) for part in (site.q, site.k))
    if isinstance(site, PerformerSite):
        kind, totals = "performer", (q @ k.sum(1)[:, :, None])[..., 0]
    else:
        kind, q = "softmax", q * site.scale
        step = max(1, _BLOCK // k.shape[1])
        parts = [(q[:, start : start + step] @ k.transpose(1, 2)).logsumexp(-1) for start in range(0, q.shape[1], step)]
        totals = torch.cat(parts, 1)
    arrays = {name: part.cpu().numpy().astype("<f4") for name, part in (("q", q), ("k", k), ("totals", totals))}
    return {"coding": kind, "width": int(q.shape[2])}, arrays


def blocks(site: AttentionSite) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """The weights of one image's site in blocks: query indices (n,) and rows (heads, n, M) float32 or better."""
    step = max(1, _BLOCK // (site.heads * site.k.shape[2]))
    for rows in torch.arange(site.q.shape[2]).split(step):
        yield rows, site.block_weights(slice(0, 1), slice(None), rows.to(site.q.device))[0].cpu().numpy()


def pooled(grid: Grid, side: int) -> Grid:
    """A grid whose cells are ``side`` times as wide and high; the last ones may reach over the edge. Learned tokens stay."""
    return Grid(-(-grid.height // side), -(-grid.width // side), grid.prefix)


def coarse(site: AttentionSite, side: int) -> np.ndarray:
    """Weights between pooled cells (heads, n, m) float32: the mean over the queries of a cell, the sum over its keys. Rows sum to 1."""
    queries, keys = pooled(site.query_grid, side), pooled(site.key_grid, side)
    homes, into = _homes(site.query_grid, side), _homes(site.key_grid, side)
    gather = np.zeros((site.key_grid.tokens, keys.tokens), np.float32)
    gather[np.arange(len(into)), into] = 1
    averaged = np.zeros((site.heads, queries.tokens, keys.tokens), np.float32)
    for rows, block in blocks(site):
        scatter = homes[rows.numpy()] == np.arange(queries.tokens)[:, None]
        averaged += scatter.astype(np.float32) @ (block.astype(np.float32) @ gather)
    return averaged / np.bincount(homes, minlength=queries.tokens)[:, None].astype(np.float32)


def _homes(grid: Grid, side: int) -> np.ndarray:
    """For each token of a grid the token of the pooled grid that it belongs to."""
    rows, columns = np.divmod(np.arange(grid.cells), max(1, grid.width))
    cells = grid.prefix + rows // side * pooled(grid, side).width + columns // side
    return np.concatenate([np.arange(grid.prefix), cells]).astype(np.intp)
