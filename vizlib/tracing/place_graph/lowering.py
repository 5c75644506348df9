"""From a graph of places and the attentions of one pass to the steps of a walk from the answer to the pixels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from vizlib.errors import MethodError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.branched_flow import Branched, Chain, Meeting, Shares, Way
from vizlib.tracing.place_graph.nodes import Added, Attended, Gathered, Joined, Learned, Node, Pixels, attends_between, dominators
from vizlib.tracing.token_flow import Attention, Flow, Step, ToSink, Windows
from vizlib.tracing.windowed_attention import Layout, WindowedSite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.tracing.place_graph.marks import Places
    from vizlib.tracing.place_graph.nodes import CallShape
    from vizlib.tracing.recorder import AttentionCall
    from vizlib.tracing.token_grid import Grid


@dataclass(frozen=True, eq=False)
class Graph:
    """How the answer of a network hangs on the pixels of one input size: the answer stands at the place ``start`` of ``last``."""

    last: Node
    start: int
    order: list[Node] = field(repr=False)
    above: dict[Node, Node | None] = field(repr=False)

    @classmethod
    def of(cls, answer: Places) -> Graph | str:
        """The graph of a marked answer (B, K), or why its classes have no one place."""
        index = answer.index[0].flatten()
        if not len(index):
            return "its answer is empty, so there is no row to start the rollout from"
        if not bool((index == index[0]).all()) or float(index[0]) < 0:
            return "its answer reads different places for different classes, so there is no one row to start the rollout from"
        order, above = dominators(answer.node)
        return cls(answer.node, int(index[0]), order, above)

    @property
    def attended(self) -> list[Attended]:
        """The attentions in the order of execution."""
        return sorted((node for node in self.order if isinstance(node, Attended)), key=lambda node: node.call.number)

    def chain(self) -> list[Node]:
        """The sets that every way passes, from the answer to the pixels."""
        nodes: list[Node] = []
        node: Node | None = self.last
        while node is not None:
            nodes.append(node)
            node = self.above[node]
        return nodes

    def hides_no_token(self, size: tuple[int, int]) -> str | None:
        """Why a cell of an input (h, w) cannot be hidden from every attention; None where the keys of all are whole grids over it."""
        upright: set[Node] = set()  # whose places lie row by row over the input
        for node in self.order:
            if isinstance(node, Pixels):
                upright.add(node)
            elif isinstance(node, Gathered):
                if node.parent in upright and (node.window is not None or (isinstance(node.parent, Pixels) and _patches(node))):
                    upright.add(node)
            elif any(share.parent in upright and _stays(node, share.parent, share.places) for share in getattr(node, "shares", ())):
                upright.add(node)
        for node in self.attended:
            path = node.call.path or "an attention"
            if node.call.mixed:
                return f"{path} mixes its heads after the softmax, so the weights left of a hidden key are not what it would have made"
            if node.call.windows > 1 or not _counts(node.keys[0], node.parent.places):
                return f"{path} looks at windows or at a choice of tokens, so there is no one key for a token that is to be hidden"
            if node.parent not in upright or any(side % cells for side, cells in zip(size, node.parent.grid.shape, strict=True)):
                return f"the keys of {path} are no grid that lies evenly over the image, so which of them a cell is cannot be told"
        last = self.attended[-1]
        if last.places != last.parent.places:
            return f"{last.call.path or 'its last attention'} has other queries than keys, so it has no one grid of cells to be hidden"
        return None

    def lowered(self, calls: Sequence[AttentionCall]) -> tuple[torch.Tensor, list[Step]]:
        """The read-out's row (B, tokens) and the steps below it, with the recorded calls of ``attended``."""
        lowering = _Lowering(self, dict(zip(self.attended, calls, strict=True)))
        return lowering.readout_and_steps()


class _Lowering:
    def __init__(self, graph: Graph, calls: dict[Attended, AttentionCall]) -> None:
        self.graph, self.calls = graph, calls
        self.numbers = {node: number for number, node in enumerate(graph.order)}
        names: dict[str, int] = {}
        self.names: dict[Attended, tuple[str, int, int]] = {}
        stages: list[Grid] = []
        for block, node in enumerate(graph.attended):
            grid = node.parent.grid
            if not stages or (stages[-1].shape != grid.shape and grid.height > 1):
                stages.append(grid)
            count = names.get(node.call.path, 0)
            names[node.call.path] = count + 1
            self.names[node] = (node.call.path + (f".{count}" if count else ""), len(stages) - 1, block)

    def readout_and_steps(self) -> tuple[torch.Tensor, list[Step]]:
        chain = self.graph.chain()
        first = next(iter(self.calls.values()), None)
        if first is None:
            raise MethodError("No attention of this network reaches its answer.")
        node = self.graph.attended[0]
        images = first.q.shape[0] if not node.call.order else self._q(node).shape[0] // node.call.windows
        row = torch.zeros(images, 1, self.graph.last.places, dtype=torch.float64, device=first.q.device)
        row[:, :, self.graph.start] = 1
        top, steps = self.graph.last, [self._step(upper, lower) for upper, lower in itertools.pairwise(chain)]
        # A mean or a choice of tokens is the read-out itself: the walk starts at the grid that it reads.
        while steps and top.places == 1 and not isinstance(steps[0], Attention) and not getattr(steps[0], "attentions", ()):
            row = steps[0].pull(Flow.start(row), _EVEN).rows
            steps, chain = steps[1:], chain[1:]
            top = chain[0]
        return row[:, 0], steps

    def _step(self, upper: Node, lower: Node) -> Step:
        between = self._between(upper, lower)
        if isinstance(upper, Gathered) and upper.parent is lower:
            return upper.step
        if isinstance(upper, Attended) and upper.parent is lower:
            return self._attention(upper)
        if isinstance(upper, Joined):
            step = _entering(upper, lower)
            if step is not None:
                return step
        if isinstance(upper, Added):
            residual = self._residual(upper, lower, between)
            if residual is not None:
                return residual
        return self._branched(upper, lower, between)

    def _between(self, upper: Node, lower: Node) -> list[Node]:
        """The sets from ``upper`` down to ``lower`` (not itself), the last first."""
        seen, stack = set(), [upper]
        while stack:
            node = stack.pop()
            if node is not lower and node not in seen and not isinstance(node, Learned):
                seen.add(node)
                stack.extend(node.parents)
        return [node for node in reversed(self.graph.order) if node in seen]

    def _residual(self, upper: Added, lower: Node, between: list[Node]) -> Attention | None:
        """One attention around which a residual leads, its keys perhaps gathered: a step of its own."""
        for skip, branch in (upper.shares, upper.shares[::-1]):
            if skip.parent is not lower or not _whole(skip.places, lower) or not isinstance(branch.parent, Attended):
                continue
            attended = branch.parent
            gathers: list[Gathered] = []
            below = attended.parent
            while isinstance(below, Gathered) and below is not lower:
                gathers.append(below)
                below = below.parent
            if below is not lower or len(between) != 2 + len(gathers) or bool((branch.places < 0).any()):
                continue
            if len(torch.unique(branch.places)) != len(branch.places):
                continue  # one row of the attention goes to several tokens
            places = torch.full((attended.places,), -1, dtype=torch.long, device=branch.places.device)
            places[branch.places] = torch.arange(len(branch.places), device=places.device)
            spreads = tuple(node.step for node in gathers)
            gather = None if not spreads else spreads[0] if len(spreads) == 1 else Chain(spreads)
            return self._attention(attended, lower.grid, places.view(attended.call.windows, -1), gather)
        return None

    def _attention(
        self, node: Attended, grid: Grid | None = None, places: torch.Tensor | None = None, gather: Shares | Windows | Chain | None = None
    ) -> Attention:
        call, shape = self.calls[node], node.call
        name, stage, block = self.names[node]
        q, k = self._q(node), _ordered(call.k, shape)
        v, output, gradient = (_upright(tensor, shape) for tensor in (call.v, call.output, call.gradient))
        bias, factor = (_canonical_bias(tensor, shape, call.q) for tensor in (call.bias, call.factor))
        if q.shape[1:3] != (shape.heads, shape.queries) or k.shape[2] != shape.keys or q.shape[0] % shape.windows:
            raise MethodError(
                f"{name} ran over {tuple(q.shape)} where the traced pass had {shape.windows} windows of {shape.queries} queries, "
                "so the map would not be certain."
            )
        target = node.grid if grid is None else grid
        skip = places is not None
        if places is None:
            places = torch.arange(node.places).view(shape.windows, -1)
        source = node.parent.grid
        if shape.windows == 1 and _counts(places[0], target.tokens) and _counts(node.keys[0], source.tokens):
            site = AttentionSite(name, stage, block, target, source, q, k, call.scale, bias, v, output, gradient, factor=factor)
            return Attention(site, gather, skip)
        same = target == source and torch.equal(places.cpu(), node.keys.cpu())
        layout = Layout(target, places) if same else Layout(target, places, source, node.keys)
        windowed = WindowedSite(
            name, stage, block, target, layout.keys, q, k, call.scale, bias, v, output, gradient, layout=layout, allowed=None, factor=factor
        )
        return Attention(windowed, gather, skip, layout)

    def _q(self, node: Attended) -> torch.Tensor:
        return _ordered(self.calls[node].q, node.call)

    def _branched(self, upper: Node, lower: Node, between: list[Node]) -> Branched:
        made: dict[Attended, Attention] = {node: self._attention(node) for node in between if isinstance(node, Attended)}
        parts: list[tuple[int, Meeting | Attention | Shares | Windows, int]] = []
        for node in between:
            number = self.numbers[node]
            if isinstance(node, Attended):
                parts.append((number, made[node], self.numbers[node.parent]))
            elif isinstance(node, Gathered):
                parts.append((number, node.step, self.numbers[node.parent]))
            elif isinstance(node, Added | Joined):
                fork = self.graph.above[node]
                ways = tuple(
                    Way(
                        None if isinstance(share.parent, Learned) else self.numbers[share.parent],
                        share.places,
                        tuple(step for inner, step in made.items() if _on_way(inner, share.parent, fork)),
                    )
                    for share in node.shares
                )
                parts.append((number, Meeting(ways, summed=isinstance(node, Added)), -1))
            elif isinstance(node, Pixels):
                raise MethodError("The ways from this answer do not meet at one image.")
        tokens = {self.numbers[node]: node.places for node in self.graph.order}
        return Branched(lower.grid, upper.grid, tuple(parts), tokens)


def _on_way(inner: Attended, node: Node, fork: Node | None) -> bool:
    """Whether an attention lies on a way from ``fork`` to ``node``."""
    if not attends_between(node, fork):
        return False
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if current is fork or current in seen:
            continue
        if current is inner:
            return True
        seen.add(current)
        stack.extend(current.parents)
    return False


def _entering(upper: Joined, lower: Node) -> ToSink | None:
    """Learned tokens that are set before all others."""
    prefix = upper.grid.prefix
    known = [share for share in upper.shares if not isinstance(share.parent, Learned)]
    if len(known) != 1 or known[0].parent is not lower or upper.grid.shape != lower.grid.shape or prefix != upper.places - lower.places:
        return None
    places = known[0].places
    return (
        ToSink(upper.grid)
        if bool((places[:prefix] < 0).all()) and _counts(places[prefix:], lower.places) and not lower.grid.prefix
        else None
    )


def _stays(node: Node, parent: Node, places: torch.Tensor) -> bool:
    """Whether a combined set has the places of a parent where the parent has them, behind learned tokens or not."""
    return _whole(places, parent) if isinstance(node, Added) else isinstance(node, Joined) and _entering(node, parent) is not None


def _patches(node: Gathered) -> bool:
    """Whether the places are patches side by side that cover the pixels row by row."""
    (height, width), (rows, columns) = node.parent.grid.shape, node.grid.shape
    if node.grid.prefix or node.weights is not None or not rows * columns or height % rows or width % columns:
        return False
    numbers = torch.arange(height * width, device=node.sources.device).view(rows, height // rows, columns, width // columns)
    return torch.equal(node.sources.sort(1).values, numbers.transpose(1, 2).reshape(rows * columns, -1))


def _whole(places: torch.Tensor, node: Node) -> bool:
    return _counts(places, node.places)


def _counts(places: torch.Tensor, tokens: int) -> bool:
    """Whether places are 0, 1, 2, ... up to the last token."""
    return len(places) == tokens and torch.equal(places.cpu(), torch.arange(tokens))


def _upright(tensor: torch.Tensor | None, shape: CallShape) -> torch.Tensor | None:
    """Values, or what attention gave of them: those left of transposed weights are (lead..., d, rows)."""
    if tensor is None:
        return None
    return _ordered(tensor.transpose(-2, -1) if shape.turned else tensor, shape)


def _ordered(tensor: torch.Tensor, shape: CallShape) -> torch.Tensor:
    """A tensor (lead..., rows, d) of a call as (B W, h, rows, d)."""
    if shape.folded and tensor.ndim == len(shape.order) + 1:
        tensor = tensor.unflatten(0, (-1, shape.folded)) if tensor.shape[0] > 1 else tensor[None]
    missing = len(shape.order) - (tensor.ndim - 2)
    tensor = tensor.reshape((1,) * missing + tuple(tensor.shape))
    turned = tensor.permute(*shape.order, -2, -1)
    outer, heads = turned.shape[: shape.within], turned.shape[shape.within : -2]
    if heads.numel() != shape.heads and heads.numel() == 1:
        turned = turned.reshape(*outer, 1, *turned.shape[-2:]).expand(*outer, shape.heads, *turned.shape[-2:])
        return turned.reshape(-1, shape.heads, *turned.shape[-2:])
    return turned.reshape(outer.numel(), heads.numel(), *turned.shape[-2:])


def _canonical_bias(bias: torch.Tensor | None, shape: CallShape, q: torch.Tensor) -> torch.Tensor | None:
    if bias is None:
        return None
    if shape.folded and bias.ndim == len(shape.order) + 1:
        bias = bias.unflatten(0, (-1, shape.folded)) if bias.shape[0] > 1 else bias[None]
    if shape.folded and q.ndim == len(shape.order) + 1:
        q = q.unflatten(0, (-1, shape.folded))
    missing = len(shape.order) + 2 - bias.ndim
    bias = bias.reshape((1,) * missing + tuple(bias.shape))
    outer = [bias.shape[axis] for axis in shape.order[: shape.within]]
    if any(length != 1 for length in outer):
        lead = [q.shape[axis] if axis in shape.order[: shape.within] else bias.shape[axis] for axis in range(len(shape.order))]
        bias = bias.expand(*lead, *bias.shape[-2:])
    turned = bias.permute(*shape.order, -2, -1)
    outer_lengths, heads = turned.shape[: shape.within], turned.shape[shape.within : -2]
    return turned.reshape(outer_lengths.numel(), heads.numel(), *turned.shape[-2:])


class _Even:
    even = True

    def residual(self, step: Attention) -> float:
        raise NotImplementedError(step)

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(step, rows)


_EVEN = _Even()
