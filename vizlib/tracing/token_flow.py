"""The row-stochastic steps that a rollout is made of, each as the product of row vectors with its matrix.

A step maps tokens of a lower grid (its ``source``) to tokens of a higher one (its ``target``); every row of its matrix is a distribution.
A rollout starts at the top and pulls row vectors (B, R, target tokens) down: rows @ matrix. What reaches a learned token whose step ends in
the sink is counted there, so that pixels and sink always sum to the mass at the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.token_grid import Grid
    from vizlib.tracing.windowed_attention import Layout


@dataclass(frozen=True, eq=False)
class Flow:
    """Row vectors (B, R, tokens) float64 on one grid, and the mass (B, R) that has ended in learned tokens."""

    rows: torch.Tensor
    sink: torch.Tensor

    @classmethod
    def start(cls, rows: torch.Tensor) -> Flow:
        """Row vectors (B, R, tokens) with nothing in the sink yet."""
        rows = rows.to(torch.float64)
        return cls(rows, rows.new_zeros(rows.shape[:2]))


class Rule(Protocol):
    """How a method weighs what may flow: the residual's share and the pull at an attention, and whether max-pools spread evenly."""

    @property
    def even(self) -> bool:
        """Whether max-pools spread evenly instead of routing as they ran."""

    def residual(self, step: Attention) -> float | torch.Tensor:
        """The share w of the residual around an attention, 0 to 1: one number, or (B, N) for each query."""

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, N) over the queries times the head-fused attention: (B, R, M) float64 over the keys."""


class Step(Protocol):
    """One row-stochastic map between two grids."""

    @property
    def source(self) -> Grid:
        """The grid that rows are pulled to, nearer the pixels."""

    @property
    def target(self) -> Grid:
        """The grid that rows come from, nearer the read-out."""

    def pull(self, flow: Flow, rule: Rule) -> Flow:
        """The flow on ``target`` brought to ``source``: r -> r P with P row-stochastic, so that mass and sink together stay."""


class Spread(Protocol):
    """A fixed row-stochastic map from a reduced grid to a fuller one, learned tokens kept as they are."""

    @property
    def source(self) -> Grid:
        """The fuller grid."""

    @property
    def target(self) -> Grid:
        """The reduced grid."""

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (B, R, tokens of target) spread to (B, R, tokens of source), each row keeping its sum."""


@dataclass(frozen=True, eq=False)
class Attention:
    """(1 - w) attention + w identity, w the residual's share; reduced keys are gathered from the tokens by ``gather``.

    ``skip=False`` is for attention without a residual around it, such as the attention pool of a read-out. ``layout`` says how the site
    cuts the grid into windows.
    """

    site: AttentionSite
    gather: Spread | None = None
    skip: bool = True
    layout: Layout | None = None

    @property
    def target(self) -> Grid:
        """Where the queries lie."""
        return self.site.query_grid

    @property
    def source(self) -> Grid:
        """Where the values come from."""
        if self.gather is not None:
            return self.gather.source
        return self.site.key_grid if self.layout is None else self.layout.source_grid

    def pull(self, flow: Flow, rule: Rule) -> Flow:
        kept: float | torch.Tensor = rule.residual(self) if self.skip else 0.0
        if isinstance(kept, float) and kept == 1.0:
            return flow
        landed = self.land(rule.attend(self, self.split(flow.rows * (1 - kept))))
        return Flow(landed.rows + flow.rows * kept if self.skip else landed.rows, flow.sink + landed.sink)

    def split(self, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors over the queries as the site takes them: by window where it has windows."""
        return rows if self.layout is None else self.layout.split(rows)

    def unite(self, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors over the site's queries as the grid has them: what ``split`` undoes."""
        return rows if self.layout is None else self.layout.unite(rows)

    def land(self, moved: torch.Tensor) -> Flow:
        """What lies on the site's keys, on the tokens that they were made from; what lies on padding is in the sink."""
        moved, lost = (moved, moved.new_zeros(moved.shape[:2])) if self.layout is None else self.layout.join(moved)
        return Flow(moved if self.gather is None else self.gather.spread(moved), lost)


@dataclass(frozen=True, eq=False)
class Windows:
    """Uniform windows: target cell (i, j) takes equal shares from the source cells that its window covers, padding left out.

    The matrix is the Kronecker product of ``down`` (h_target, h_source) and ``across`` (w_target, w_source). Learned tokens stay.
    """

    source: Grid
    target: Grid
    down: torch.Tensor = field(repr=False)
    across: torch.Tensor = field(repr=False)

    @classmethod
    def strided(
        cls,
        source: Grid,
        target: Grid,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] = (0, 0),
    ) -> Windows:
        """The windows of a convolution, an unfold or an average pool, each axis given as (vertical, horizontal)."""
        axes = zip(source.shape, target.shape, kernel, stride, padding, strict=True)
        down, across = (_strided_rows(*axis) for axis in axes)
        return cls(source, target, down, across)

    @classmethod
    def adaptive(cls, source: Grid, target: Grid) -> Windows:
        """The windows of an adaptive average pool."""
        down, across = (_adaptive_rows(*axis) for axis in zip(source.shape, target.shape, strict=True))
        return cls(source, target, down, across)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        prefix = self.target.prefix
        down, across = self.down.to(rows.device), self.across.to(rows.device)
        cells = rows[..., prefix:].unflatten(-1, self.target.shape)
        spread = (down.T @ cells @ across).flatten(-2)
        return torch.cat([rows[..., :prefix], spread], -1) if prefix else spread

    def averaged(self, values: torch.Tensor) -> torch.Tensor:
        """What each token of ``target`` takes of values (B, R, tokens of source): (B, R, tokens of target)."""
        prefix = self.source.prefix
        down, across = self.down.to(values.device), self.across.to(values.device)
        taken = (down @ values[..., prefix:].unflatten(-1, self.source.shape) @ across.T).flatten(-2)
        return torch.cat([values[..., :prefix], taken], -1) if prefix else taken

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002  one signature for all steps
        return Flow(self.spread(flow.rows), flow.sink)


@dataclass(frozen=True, eq=False)
class WeightedWindows:
    """Windows whose cells have weights (B or 1, kernel cells, target cells), scaled here to sum to 1 inside the grid."""

    source: Grid
    target: Grid
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    weights: torch.Tensor = field(repr=False)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        prefix = self.target.prefix
        cells = rows[..., prefix:]
        shares = self._shares(rows.device)
        batch, count = cells.shape[:2]
        patches = cells[:, :, None] * shares[:, None]
        folded = F.fold(patches.flatten(0, 1), self.source.shape, self.kernel, padding=self.padding, stride=self.stride)
        spread = folded.reshape(batch, count, self.source.cells)
        return torch.cat([rows[..., :prefix], spread], -1) if prefix else spread

    def _shares(self, device: torch.device) -> torch.Tensor:
        ones = torch.ones(1, 1, *self.source.shape, dtype=torch.float64, device=device)
        inside = F.unfold(ones, self.kernel, padding=self.padding, stride=self.stride)
        shares = self.weights.to(device, torch.float64) * inside
        total = shares.sum(1, keepdim=True)
        # A window whose weights are all zero tells nothing about its cells: it is uniform.
        return torch.where(total > 0, shares / total.clamp_min(torch.finfo(torch.float64).tiny), inside / inside.sum(1, keepdim=True))

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002
        return Flow(self.spread(flow.rows), flow.sink)


@dataclass(frozen=True, eq=False)
class WeightedCells:
    """Windows whose cells count by a weight of their own, ``weights`` (B, source cells), the same in every window that covers them."""

    even: Windows
    weights: torch.Tensor = field(repr=False)

    @property
    def source(self) -> Grid:
        """The cells."""
        return self.even.source

    @property
    def target(self) -> Grid:
        """The windows."""
        return self.even.target

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        weights = self.weights.to(rows.device, torch.float64)[:, None]
        down, across = self.even.down.to(rows.device), self.even.across.to(rows.device)
        total = (down @ weights.unflatten(-1, self.source.shape) @ across.T).flatten(-2)
        scaled = torch.where(total > 0, rows / total.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        # A window whose weights are all zero tells nothing about its cells: it is uniform.
        return self.even.spread(scaled) * weights + self.even.spread(torch.where(total > 0, 0.0, rows))

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002
        return Flow(self.spread(flow.rows), flow.sink)


@dataclass(frozen=True, eq=False)
class Routing:
    """Max-pooling as routing: each channel of a target cell comes from the source cell of its maximum.

    ``indices`` (B, C, target cells) are flat source cells, ``values`` (B, C, target cells) the non-negative pooled activations, by whose
    share a channel counts; a cell whose activations are all zero spreads evenly over its window.
    """

    source: Grid
    target: Grid
    indices: torch.Tensor = field(repr=False)
    values: torch.Tensor = field(repr=False)
    even: Windows = field(repr=False)

    def pull(self, flow: Flow, rule: Rule) -> Flow:
        if rule.even:
            return self.even.pull(flow, rule)
        values = self.values.to(torch.float64)
        total = values.sum(1, keepdim=True)
        shares = values / total.clamp_min(torch.finfo(torch.float64).tiny)
        batch, count = flow.rows.shape[:2]
        moved = flow.rows[:, :, None] * shares[:, None]
        rows = flow.rows.new_zeros(batch, count, self.source.cells)
        rows.scatter_add_(2, self.indices[:, None].expand_as(moved).flatten(2), moved.flatten(2))
        silent = torch.where(total > 0, 0.0, 1.0)
        return Flow(rows + self.even.spread(flow.rows * silent), flow.sink)


@dataclass(frozen=True, eq=False)
class ToSink:
    """Where learned tokens enter: what is still on them has no pixel source and ends here."""

    target: Grid

    @property
    def source(self) -> Grid:
        """The cells alone."""
        return self.target.without_prefix()

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002
        prefix = self.target.prefix
        return Flow(flow.rows[..., prefix:], flow.sink + flow.rows[..., :prefix].sum(-1))


@dataclass(frozen=True, eq=False)
class FromCells:
    """Where a read-out looks at the cells alone: the learned tokens of the grid below start with nothing."""

    source: Grid

    @property
    def target(self) -> Grid:
        """The cells alone."""
        return self.source.without_prefix()

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002
        return Flow(F.pad(flow.rows, (self.source.prefix, 0)), flow.sink)


@dataclass(frozen=True, eq=False)
class Mix:
    """``kept`` identity + (1 - kept) of a map of a grid to itself, such as a depth-wise convolution inside an MLP.

    ``kept`` is one number, or one for each token (B, 1, tokens).
    """

    kept: float | torch.Tensor
    spread: Spread

    @property
    def source(self) -> Grid:
        """The grid."""
        return self.spread.source

    @property
    def target(self) -> Grid:
        """The same grid."""
        return self.spread.target

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002
        return Flow(self.kept * flow.rows + self.spread.spread((1 - self.kept) * flow.rows), flow.sink)


def walk(rows: torch.Tensor, steps: Sequence[Step], rule: Rule) -> list[Flow]:
    """Pull row vectors (B, R, tokens) through the steps, topmost first: the flow before the first step and after each.

    For row-stochastic steps the mass of rows and sink together never changes.
    """
    flows = [Flow.start(rows)]
    for step in steps:
        flows.append(step.pull(flows[-1], rule))
    return flows


def _strided_rows(source: int, target: int, kernel: int, stride: int, padding: int) -> torch.Tensor:
    first = torch.arange(target)[:, None] * stride - padding
    cell = torch.arange(source)[None]
    return _scaled((cell >= first) & (cell < first + kernel))


def _adaptive_rows(source: int, target: int) -> torch.Tensor:
    index = torch.arange(target)[:, None]
    cell = torch.arange(source)[None]
    return _scaled((cell >= index * source // target) & (cell < -(-(index + 1) * source // target)))


def _scaled(covered: torch.Tensor) -> torch.Tensor:
    rows = covered.to(torch.float64)
    return rows / rows.sum(1, keepdim=True)
