"""What the component of reduced keys draws: one attention of every stage, and what each of its keys gathers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.ui.components._lib import viridis
from vizlib.ui.core.message_codec import levels, pack
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.tracing.token_flow import Attention
    from vizlib.ui.core.pictures import Picture

MOST_WEIGHTS = 6_000_000
"""Of one site: more would take too long to send."""


@dataclass(frozen=True, eq=False)
class ReducedKeys:
    """The last attention of every stage; ``left_out`` names stages whose weights are too many to send."""

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    left_out: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(array.nbytes for array in self.arrays.values())


def pack_reduced_keys(grids: ReducedKeys, title: str) -> bytes:
    """Everything for the component."""
    return pack({**grids.facts, "title": title}, {**grids.arrays, "table": viridis()})


def compute_reduced_keys(model: Model, picture: Picture, fit: str | None, progress: Progress) -> ReducedKeys:
    """Run a model on a picture and keep the weights of the last attention of every stage."""
    from vizlib.analysis.cost.spatial_reduction import sites
    from vizlib.passes.forward import run_measured

    progress(0, None, "Reading the attention of every stage")
    forward = run_measured(model, model.prepare(picture.pixels, fit), windows="contribution")
    last = {step.site.stage: step for step in sites(forward.lineage("contribution"))}
    way = "conv" if model.card.family == "cvt" else "pool" if pooled(model) else "SR"
    arrays: dict[str, np.ndarray] = {"photo": as_jpeg(model_input(picture, model.geometry(picture.pixels.shape[:2], fit)))}
    drawn: list[dict[str, Any]] = []
    layers, left_out = [], []
    for stage, step in last.items():
        site = step.site
        layers.append(_layer(step, forward.size))
        if site.heads * site.query_grid.tokens * site.key_grid.tokens > MOST_WEIGHTS:
            left_out.append(f"stage {stage + 1} ({site.query_grid.tokens:,} × {site.key_grid.tokens:,} weights a head)")
            continue
        weights, peaks = levels(site.weights().float().cpu().numpy())
        boxes, shares = _gathered(step)
        parts = {"levels": weights, "peaks": peaks, "boxes": boxes, "shares": shares}
        arrays |= {f"{len(drawn)}.{name}": array for name, array in parts.items()}
        drawn.append(_facts(step, way, weights, peaks, shares))
    return ReducedKeys({"size": list(forward.size), "sites": drawn, "layers": layers, "way": way}, arrays, tuple(left_out))


def pooled(model: Model) -> bool:
    """Whether keys are made of the means of a grid of fixed size, as in linear PVT v2."""
    from vizlib.zoo.adapters.pyramid import PyramidAdapter

    adapter = model.adapter
    return isinstance(adapter, PyramidAdapter) and any(block.pool for stage in adapter.stages() for block in stage.blocks)


def _facts(step: Attention, reduced: str, weights: np.ndarray, peaks: np.ndarray, shares: np.ndarray) -> dict[str, Any]:
    site, prefix = step.site, step.site.prefix
    window = shares.shape[1:]
    ask = np.argmax((weights[:, prefix:, prefix:].max(-1) * peaks[:, prefix:]).mean(0))
    single = "Each key is one token: nothing is reduced here."
    return {
        "name": site.name,
        "stage": site.stage + 1,
        "heads": site.heads,
        "root": round(1 / site.scale**2),
        "width": site.q.shape[-1],
        "prefix": prefix,
        "grid": list(site.query_grid.shape),
        "keys": list(site.key_grid.shape),
        "reduced": "" if window == (1, 1) else reduced,
        "gathers": single if window == (1, 1) else f"a window of {window[0]} × {window[1]} tokens, brighter where more passes",
        "strongest": [int(ask) // site.query_grid.width, int(ask) % site.query_grid.width],
    }


def _layer(step: Attention, size: tuple[int, int]) -> dict[str, int]:
    """Width, heads, reduction and stride of a stage's attention: what it costs follows from them."""
    site = step.site
    tall = max(1, site.query_grid.height)
    reduction = max(1, tall // max(1, site.key_grid.height))
    return {"width": site.heads * site.q.shape[-1], "heads": site.heads, "reduction": reduction, "stride": max(1, size[0] // tall)}


def _gathered(step: Attention) -> tuple[np.ndarray, np.ndarray]:
    """For each key the box of cells it gathers (keys, 4), and their shares (keys, tallest, widest)."""
    import torch

    keys, prefix = step.site.key_grid, step.site.key_grid.prefix
    if step.gather is None:
        rows, columns = np.divmod(np.arange(keys.cells), keys.width)
        return np.stack([rows, columns, rows + 1, columns + 1], 1).astype("<i4"), np.ones((keys.cells, 1, 1), np.float32)
    grid = step.gather.source
    boxes, shares = [], []
    for chunk in torch.arange(keys.cells).split(256):
        one_hot = torch.zeros(1, len(chunk), keys.tokens, dtype=torch.float64, device=step.site.q.device)
        one_hot[0, torch.arange(len(chunk)), prefix + chunk] = 1
        spread = step.gather.spread(one_hot)[0, :, grid.prefix :].unflatten(1, grid.shape).cpu().numpy()
        for cells in spread:
            down, across = (np.flatnonzero(cells.any(axis)) for axis in (1, 0))
            box = (down[0], across[0], down[-1] + 1, across[-1] + 1)
            boxes.append(box)
            shares.append(cells[box[0] : box[2], box[1] : box[3]])
    tall, wide = max(share.shape[0] for share in shares), max(share.shape[1] for share in shares)
    padded = np.zeros((len(shares), tall, wide), np.float32)
    for index, share in enumerate(shares):
        padded[index, : share.shape[0], : share.shape[1]] = share
    return np.array(boxes, "<i4"), padded
