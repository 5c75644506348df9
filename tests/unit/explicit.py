"""Whole matrices, multiplied without any of the library's walk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vizlib.passes.forward import run
from vizlib.tracing.token_flow import Attention, Flow

if TYPE_CHECKING:
    import vizlib


def matrix(step: object) -> torch.Tensor:
    """A step that is no attention, for each image: (B or 1, target, source and the sink)."""
    images = len(step.indices) if hasattr(step, "indices") else 1
    unit = torch.eye(step.target.tokens, dtype=torch.float64).expand(images, -1, -1)
    flow = step.pull(Flow.start(unit), type("Rule", (), {"even": False})())
    return torch.cat([flow.rows, flow.sink[..., None]], 2)


def chain(model: vizlib.Model, x: torch.Tensor, attention, other=matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """The read-out's rows times whole matrices, those of each attention and of all ``other`` steps: (B, h, w) and the sink (B,)."""
    done = run(model, x)
    lineage = done.lineage()
    row, sink = lineage.readout.double()[:, None], torch.zeros(len(x), 1, dtype=torch.float64)
    left = len(lineage.sites)
    for step in lineage.steps:
        if not isinstance(step, Attention):
            row = row @ other(step)
            row, sink = row[..., :-1], sink + row[..., -1]
            continue
        left -= 1
        gather = torch.eye(step.site.key_grid.tokens, dtype=torch.float64)
        if step.gather is not None:
            gather = step.gather.spread(gather[None])[0]
        row = row @ attention(left, step, gather)
        if row.shape[2] > step.source.tokens:  # the last column is padding
            row, sink = row[..., :-1], sink + row[..., -1]
    return row[:, 0].unflatten(1, done.size), sink[:, 0]


def whole(step: Attention, weights: torch.Tensor) -> torch.Tensor:
    """The matrices (B, N, M) of weights that lie by window (B W, n, n), padding as the last key; others are whole already."""
    if step.layout is None:
        return weights
    places, tokens = step.layout.places, step.layout.grid.cells
    by_image = weights.unflatten(0, (-1, len(places)))
    matrices = weights.new_zeros(len(by_image), tokens, tokens + 1)
    for number, window in enumerate(places.tolist()):
        for query, row in enumerate(window):
            for key, column in enumerate(window):
                if row >= 0:
                    matrices[:, row, column if column >= 0 else tokens] += by_image[:, number, query, key]
    return matrices if step.layout.padded else matrices[..., :-1]
