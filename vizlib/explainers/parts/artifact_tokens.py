"""Tokens that hold far more of a walk than what they show can explain (Darcet et al. 2024), and a walk that leaves them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import torch
from torch.nn.functional import pad

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.passes.forward import Trace
    from vizlib.tracing.token_flow import Attention, Flow, Step

Shape = tuple[int, int]
SHARE: Final = 8.0  # times the even share: rollouts of a ViT-S whose artifacts hold 12 to 28 times it gave objects at most 10
ISOLATION: Final = 3.0  # times the largest share beside it: objects cover several patches, artifacts one
NORM: Final = 6.0  # robust standard deviations
FEWEST: Final = 36  # cells: on a coarser grid an object of one patch is nothing odd
_SCALE: Final = 1.4826  # the median absolute deviation of a normal distribution is its standard deviation over this


def robust_scores(values: torch.Tensor) -> torch.Tensor:
    """(x - median) / (1.4826 median |x - median|), float64; where the MAD is zero, a thousandth of the median stands in for it."""
    exact = values.double()
    middle = exact.median()
    spread = (exact - middle).abs().median()
    floor = (1e-3 * middle.abs()).clamp_min(torch.finfo(torch.float64).tiny)
    return (exact - middle) / (_SCALE * torch.maximum(spread, floor))


def odd_by_share(shares: torch.Tensor, share: float = SHARE, isolation: float = ISOLATION) -> torch.Tensor:
    """Which cells of walks (B, h, w) hold ``share`` times the even share and ``isolation`` times that of every cell beside them: bool."""
    height, width = shares.shape[1:]
    even = shares.sum((1, 2), keepdim=True) / (height * width)
    padded = pad(shares, (1, 1, 1, 1))
    beside = torch.stack([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]).amax(0)
    return (shares > 0) & (shares >= share * even) & (shares >= isolation * beside)


def share_artifacts(flows: Sequence[Flow], steps: Sequence[Step]) -> dict[Shape, torch.Tensor]:
    """By grid the cells (B, h w) that are odd by share where a walk leaves it; grids of few cells or without any such are left out.

    A token that the answer itself is read from, far more than from others, is none: attention did not bring it its share.
    """
    odd: dict[Shape, torch.Tensor] = {}
    top = next((step.target for step in steps if step.target.cells), None)
    for flow, step in zip(flows, steps, strict=False):
        grid = step.target
        if step.source.shape != grid.shape and grid.cells >= FEWEST:
            cells = odd_by_share(flow.rows[:, 0, grid.prefix :].unflatten(1, grid.shape)).flatten(1)
            if top is not None and top.shape == grid.shape and flows[0].rows.shape[-1] == top.tokens:
                read = flows[0].rows[:, 0, top.prefix :]
                cells &= read < SHARE / 2 * flows[0].rows[:, 0].sum(1, keepdim=True) / top.cells
            if bool(cells.any()):
                odd[grid.shape] = cells
    return odd


def norm_artifacts(traces: Sequence[Trace], threshold: float = NORM) -> dict[Shape, torch.Tensor]:
    """By grid the cells (B, h w) whose tokens' norm stands out in any layer on it; grids without any are left out."""
    odd: dict[Shape, torch.Tensor] = {}
    for image, trace in enumerate(traces):
        grids = {site.query_grid.shape for site in trace.attention}
        for state in trace.features.values():
            shape = (int(state.shape[1]), int(state.shape[2]))
            if shape in grids:
                cells = odd.setdefault(shape, torch.zeros(len(traces), shape[0] * shape[1], dtype=torch.bool))
                cells[image] |= robust_scores(state.double().norm(dim=0).cpu()).flatten() > threshold
    return {shape: cells for shape, cells in odd.items() if bool(cells.any())}


def united(*found: Mapping[Shape, torch.Tensor]) -> dict[Shape, torch.Tensor]:
    """The cells that any of several searches found, by grid."""
    cells: dict[Shape, torch.Tensor] = {}
    for each in found:
        for shape, odd in each.items():
            cells[shape] = odd if shape not in cells else cells[shape] | odd.to(cells[shape].device)
    return cells


class HidingRule(Protocol):
    """A rule of a walk that can leave keys out of an attention."""

    @property
    def even(self) -> bool:
        """Whether max-pools spread evenly instead of routing as they ran."""

    def residual(self, step: Attention) -> float | torch.Tensor:
        """The residual's share at a step's attention, 0 to 1: a number, or each token's own (B, 1, N)."""

    def attend(self, step: Attention, rows: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Row vectors (B, R, queries) pulled through a step's attention without the keys ``hidden`` (B, M): (B, R, keys)."""


@dataclass(frozen=True)
class Without:
    """A rule in which no walk enters the ``odd`` cells (B, h w) of a grid: they weigh nothing as keys, and the others share the row.

    Keys that were gathered from several tokens or lie in windows stay.
    """

    rule: HidingRule
    odd: Mapping[Shape, torch.Tensor]

    @property
    def even(self) -> bool:
        return self.rule.even

    def residual(self, step: Attention) -> float | torch.Tensor:
        return self.rule.residual(step)

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        grid = step.site.key_grid
        odd = self.odd.get(grid.shape) if step.gather is None and step.layout is None else None
        if odd is None:
            return self.rule.attend(step, rows)
        hidden = torch.zeros(len(odd), grid.tokens, dtype=torch.bool, device=rows.device)
        hidden[:, grid.prefix :] = odd.to(rows.device)
        if bool(hidden.all(1).any()):
            raise MethodError(f"Every key of {step.site.name} stands out, so none would be left: take artifact_tokens='kept'.")
        return self.rule.attend(step, rows, hidden)


def start_without(rows: torch.Tensor, steps: Sequence[Step], odd: Mapping[Shape, torch.Tensor]) -> torch.Tensor:
    """The row (B, 1, tokens) that a walk begins with, the odd cells of its own grid taken out, scaled to the sum that it had."""
    grid = next(step.target for step in steps if step.target.cells)
    cells = odd.get(grid.shape)
    if cells is None or rows.shape[-1] != grid.tokens:
        return rows
    kept = rows.clone()
    kept[:, 0, grid.prefix :].masked_fill_(cells.to(rows.device), 0)
    left = kept.sum(-1, keepdim=True)
    if not bool((left > 0).all()):
        raise MethodError("Every token that the answer is read from stands out: take artifact_tokens='kept'.")
    return kept * (rows.sum(-1, keepdim=True) / left)


def artifact_note(flows: Sequence[Flow], steps: Sequence[Step], odd: Mapping[Shape, torch.Tensor], image: int, where: str) -> str:
    """The sentence on the odd cells of one image, and ``where`` they are left out; empty where it has none."""
    parts = []
    for flow, step in zip(flows, steps, strict=False):
        grid = step.target
        if step.source.shape == grid.shape or grid.shape not in odd or not bool(odd[grid.shape][image].any()):
            continue
        shares = flow.rows[image, 0, grid.prefix :]
        for cell in torch.nonzero(odd[grid.shape][image]).flatten().tolist():
            row, column = divmod(cell, grid.shape[1])
            times = float(shares[cell] * grid.cells / shares.sum()) if float(shares.sum()) > 0 else 0.0
            parts.append(f"row {row + 1}, column {column + 1} of {grid.shape[0]} x {grid.shape[1]} ({times:.1f} times its even share)")
    if not parts:
        return ""
    shown = "; ".join(parts[:3]) + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")
    return f"Artifact token{'' if len(parts) == 1 else 's'} (Darcet et al. 2024) at {shown}: {where}."
