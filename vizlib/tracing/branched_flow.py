"""Steps whose ways part and meet again, and steps that gather any places: what a chain of windows and residuals cannot say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.row_vectors import summed_at
from vizlib.tracing.token_flow import Attention, Flow, Rule, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.tracing.token_grid import Grid

    Attend = Callable[[Attention, torch.Tensor], Flow]
    Parting = Callable[[Sequence[Attention]], tuple[Any, Any]]


@dataclass(frozen=True, eq=False)
class Shares:
    """Each token of ``target`` takes shares of tokens of ``source``: of ``taken`` the ``share`` goes to ``takers``, entry by entry.

    A row without any source is a constant: what lies on it ends in the sink.
    """

    source: Grid
    target: Grid
    takers: torch.Tensor = field(repr=False)
    taken: torch.Tensor = field(repr=False)
    share: torch.Tensor = field(repr=False)

    @classmethod
    def of(cls, source: Grid, target: Grid, sources: torch.Tensor, weights: torch.Tensor | None = None) -> Shares:
        """Equal shares of the tokens ``sources`` (target, k), or such by ``weights``; -1 holds none, and one named twice counts twice."""
        present = (sources >= 0).to(torch.float64) if weights is None else torch.where(sources >= 0, weights, 0.0)
        taker, column = torch.nonzero(present > 0, as_tuple=True)
        share = present / present.sum(1, keepdim=True)
        return cls(source, target, taker, sources[taker, column], share[taker, column])

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (B, R, tokens of target) spread to (B, R, tokens of source)."""
        device = rows.device
        taken = rows[..., self.takers.to(device)] * self.share.to(device)
        return summed_at(taken, self.taken.to(device), self.source.tokens)

    def averaged(self, values: torch.Tensor) -> torch.Tensor:
        """What each token of ``target`` takes of values (B, R, tokens of source): (B, R, tokens of target)."""
        device = values.device
        taken = values[..., self.taken.to(device)] * self.share.to(device)
        return summed_at(taken, self.takers.to(device), self.target.tokens)

    def pull(self, flow: Flow, rule: Rule) -> Flow:  # noqa: ARG002  one signature for all steps
        rows = self.spread(flow.rows)
        return Flow(rows, flow.sink + (flow.rows.sum(-1) - rows.sum(-1)))


@dataclass(frozen=True, eq=False)
class Chain:
    """Spreads one after the other, the topmost first, as one."""

    spreads: tuple[Any, ...]

    @property
    def source(self) -> Grid:
        """The fullest grid."""
        return self.spreads[-1].source

    @property
    def target(self) -> Grid:
        """The most reduced grid."""
        return self.spreads[0].target

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (B, R, tokens of target) spread to (B, R, tokens of source)."""
        for spread in self.spreads:
            rows = spread.spread(rows)
        return rows


@dataclass(frozen=True, eq=False)
class Way:
    """Where some tokens of a meeting come from: tokens ``places`` (tokens,) of the set ``origin``, -1 for none; None are learned tokens.

    ``attentions`` are those on it since the ways parted.
    """

    origin: int | None
    places: torch.Tensor = field(repr=False)
    attentions: tuple[Attention, ...] = ()


@dataclass(frozen=True, eq=False)
class Meeting:
    """Ways that meet. ``summed``: their tokens are added, so that each way has a share of every token; else each token has one way."""

    ways: tuple[Way, ...]
    summed: bool


@dataclass(frozen=True, eq=False)
class Resampled:
    """The one attention of a residual's branch whose rows are spread over the tokens, as an upsampled map's are.

    Token t reads the place ``places[t]`` (-1 for none) of what ``above``, the topmost first, makes of the attention's rows; its keys are
    made from the tokens by ``below``.
    """

    attention: Attention
    places: torch.Tensor = field(repr=False)
    above: tuple[Shares | Windows, ...]
    below: tuple[Shares | Windows, ...]

    @property
    def _read(self) -> int:
        return self.above[0].target.tokens if self.above else self.attention.target.tokens

    def to_queries(self, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, tokens) over the queries."""
        rows = summed_at(rows, self.places.to(rows.device) + 1, self._read + 1)[..., 1:]
        for step in self.above:
            rows = step.spread(rows)
        return rows

    def of_queries(self, values: torch.Tensor) -> torch.Tensor:
        """What each token reads of values (B, R, queries): (B, R, tokens)."""
        for step in reversed(self.above):
            values = step.averaged(values)
        places = self.places.to(values.device)
        return torch.where(places >= 0, values[..., places.clamp_min(0)], 0.0)

    def from_keys(self, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, keys) over the tokens."""
        for step in self.below:
            rows = step.spread(rows)
        return rows


@dataclass(frozen=True, eq=False)
class Branched:
    """Ways that part at ``source`` and meet at ``target``: ``parts`` are the sets between by number, the last first.

    Where a sum has attention on one of its two ways that is not on the other, that way is the branch of a residual and the other its skip;
    any other sum has half from each. Where ways are set side by side, each keeps its tokens.
    """

    source: Grid
    target: Grid
    parts: tuple[tuple[int, Meeting | Attention | Shares | Windows, int], ...] = field(repr=False)  # number, what made it, of which set
    tokens: dict[int, int] = field(repr=False)

    @property
    def attentions(self) -> list[Attention]:
        """The attentions inside, in the order of execution."""
        return sorted((part for _, part, _ in self.parts if isinstance(part, Attention)), key=lambda step: step.site.block)

    @cached_property
    def resampled(self) -> Resampled | None:
        """The attention that a residual leads around by itself, None where there are other sums, other attentions or none."""
        (_, meeting, _), *rest = self.parts
        attentions = [number for number, (_, part, _) in enumerate(rest) if isinstance(part, Attention)]
        if not isinstance(meeting, Meeting) or not meeting.summed or len(attentions) != 1:
            return None
        if any(isinstance(part, Meeting) for _, part, _ in rest):
            return None
        skip, branch = sorted(meeting.ways, key=lambda way: len(way.attentions))
        ends = (branch.origin, *(below for _, _, below in rest))
        whole = torch.arange(self.source.tokens, device=skip.places.device)
        if ends != (*(number for number, _, _ in rest), skip.origin) or not torch.equal(skip.places, whole):
            return None
        steps = [part for _, part, _ in rest]
        at = attentions[0]
        return Resampled(steps[at], branch.places, tuple(steps[:at]), tuple(steps[at + 1 :]))  # type: ignore[arg-type]

    def pull(self, flow: Flow, rule: Rule) -> Flow:
        def attend(step: Attention, rows: torch.Tensor) -> Flow:
            return step.pull(Flow.start(rows), rule)

        def parting(branch: Sequence[Attention]) -> tuple[Any, Any]:
            kept = min(float(rule.residual(step)) for step in branch)  # 0 where a method takes one attention alone
            return kept, 1 - kept

        return self.descend(flow, attend, parting)

    def descend(self, flow: Flow, attend: Attend, parting: Parting) -> Flow:
        """The flow at ``source``. ``attend`` pulls rows through an attention; ``parting`` gives what a residual's skip and branch get."""
        held: dict[int, torch.Tensor] = {self.parts[0][0]: flow.rows}
        sink = flow.sink

        def arrive(number: int, rows: torch.Tensor) -> None:
            held[number] = held[number] + rows if number in held else rows

        for number, part, below in self.parts:
            rows = held.pop(number, None)
            if rows is None:
                continue
            if isinstance(part, Meeting):
                for way, share in zip(part.ways, _parted(part, parting), strict=True):
                    if isinstance(share, float | int) and share == 0:
                        continue
                    moved = rows * share
                    if way.origin is None:
                        taken = (way.places >= 0).to(moved.device)
                        sink = sink + (moved * taken).sum(-1)
                        continue
                    spread = summed_at(moved, way.places.to(rows.device) + 1, self.tokens[way.origin] + 1)
                    arrive(way.origin, spread[..., 1:])
                    if part.summed:
                        sink = sink + spread[..., 0]
            elif isinstance(part, Attention):
                landed = attend(part, rows)
                arrive(below, landed.rows)
                sink = sink + landed.sink
            else:
                moved = part.spread(rows)
                sink = sink + (rows.sum(-1) - moved.sum(-1))
                arrive(below, moved)
        (left,) = held.values()
        return Flow(left, sink)


def _parted(part: Meeting, parting: Parting) -> tuple[Any, ...]:
    if not part.summed:
        return (1,) * len(part.ways)
    left, right = part.ways
    only_left, only_right = (
        [step for step in way.attentions if step not in other.attentions] for way, other in ((left, right), (right, left))
    )
    if bool(only_left) == bool(only_right):
        return (0.5, 0.5)
    kept, moved = parting(only_left or only_right)
    return (moved, kept) if only_left else (kept, moved)
