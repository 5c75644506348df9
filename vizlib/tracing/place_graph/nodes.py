"""What a forward pass did to places: a graph of sets of places, each made from those before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from vizlib.tracing.branched_flow import Shares
from vizlib.tracing.token_flow import Windows

if TYPE_CHECKING:
    import torch

    from vizlib.tracing.token_grid import Grid


@dataclass(eq=False)
class Node:
    """A set of places of one image. ``grid`` says how they lie, where that is known; learned tokens come first."""

    grid: Grid

    @property
    def places(self) -> int:
        """How many there are."""
        return self.grid.tokens

    @property
    def parents(self) -> tuple[Node, ...]:
        """The sets that it was made from."""
        return ()


@dataclass(eq=False)
class Pixels(Node):
    """The input's pixels."""


@dataclass(eq=False)
class Learned(Node):
    """Tokens that are parameters: what is traced back to them comes from no pixel."""


@dataclass(eq=False)
class Gathered(Node):
    """Each place takes equal shares of the places ``sources`` (places, k) of its parent; -1 is none, one named twice counts twice.

    ``weights`` (places, k) are shares that are not equal; ``window`` is kernel, stride and padding where these shares are a window's.
    """

    parent: Node
    sources: torch.Tensor = field(repr=False)
    weights: torch.Tensor | None = field(default=None, repr=False)
    window: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def parents(self) -> tuple[Node, ...]:
        return (self.parent,)

    @cached_property
    def step(self) -> Shares | Windows:
        """The step of a walk through it."""
        if self.window is not None:
            return Windows.strided(self.parent.grid, self.grid, *self.window)
        return Shares.of(self.parent.grid, self.grid, self.sources, self.weights)


@dataclass(frozen=True)
class CallShape:
    """Which product of the pass applied the attention, and how its tensors become q (B W, h, N, d), k and v (B W, h, M, d).

    ``order`` brings the leading axes of windows before those of heads, ``within`` counts the former; ``turned`` says that values stood
    left of transposed weights, ``folded`` how many heads lay inside of the first axis, ``mixed``
    that heads were mixed after their softmax.
    """

    number: int
    path: str
    order: tuple[int, ...]
    within: int
    windows: int
    heads: int
    queries: int
    keys: int
    turned: bool = False
    folded: int = 0
    mixed: bool = False


@dataclass(eq=False)
class Attended(Node):
    """Each place is a row of an attention, window by window; its keys are the places ``keys`` (W, M) of its parent, -1 for padding."""

    parent: Node
    call: CallShape
    keys: torch.Tensor = field(repr=False)

    @property
    def parents(self) -> tuple[Node, ...]:
        return (self.parent,)


@dataclass(frozen=True, eq=False)
class Share:
    """What a combined set takes from one parent: ``places`` (places,) of it, -1 where it takes nothing, by an equal ``part`` of 1."""

    parent: Node
    places: torch.Tensor = field(repr=False)


@dataclass(eq=False)
class Joined(Node):
    """Sets side by side: each place is one place of one of the parents."""

    shares: tuple[Share, ...]

    @property
    def parents(self) -> tuple[Node, ...]:
        return tuple(share.parent for share in self.shares)


@dataclass(eq=False)
class Added(Node):
    """The sum of two sets: a residual where one of them comes through an attention that the other does not, else half of each."""

    shares: tuple[Share, Share]

    @property
    def parents(self) -> tuple[Node, ...]:
        return tuple(share.parent for share in self.shares)


def dominators(last: Node) -> tuple[list[Node], dict[Node, Node | None]]:
    """The nodes that lead to ``last`` in an order in which parents come first, and for each the last node that all of its paths pass.

    Learned tokens lead nowhere and do not count as paths; a sum with them reaches below the attention that it is a residual of.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(last, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents if parent not in seen)
    above: dict[Node, Node | None] = {}
    depth: dict[Node, int] = {}
    for node in order:
        meeting: Node | None = None
        for parent in node.parents:
            if isinstance(parent, Learned):
                continue
            meeting = parent if meeting is None else _meeting(meeting, parent, above, depth)
        if isinstance(node, Added) and any(isinstance(parent, Learned) for parent in node.parents):
            meeting = _below_attention(meeting, above)
        above[node] = meeting
        depth[node] = 0 if meeting is None else depth[meeting] + 1
    return order, above


def _below_attention(node: Node | None, above: dict[Node, Node | None]) -> Node | None:
    """What is below the attention that is added to learned tokens: the sum is a residual around it. The node itself without one."""
    attended = node
    while attended is not None and not isinstance(attended, Attended):
        attended = above[attended]
    return node if attended is None else above[attended]


def _meeting(left: Node, right: Node, above: dict[Node, Node | None], depth: dict[Node, int]) -> Node | None:
    a: Node | None = left
    b: Node | None = right
    while a is not b:
        assert a is not None and b is not None  # noqa: S101, PT018  all paths begin at the pixels
        if depth[a] < depth[b]:
            b = above[b]
        else:
            a = above[a]
    return a


def attends_between(node: Node, fork: Node | None) -> bool:
    """Whether an attention lies on a way from ``fork`` (not itself) to ``node`` (itself too)."""
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if current is fork or current in seen:
            continue
        seen.add(current)
        if isinstance(current, Attended):
            return True
        stack.extend(current.parents)
    return False
