"""The states of a read network that its own head can read: what each of its blocks gives, all of one shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from vizlib.tracing.place_graph.nodes import Attended, Gathered, Joined, Node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.tracing.place_graph.lowering import Graph
    from vizlib.tracing.place_graph.lying import Lying

READ_OUT_ALONE = "its read-out alone attends, so it has no blocks whose tokens the head could read"


@dataclass(frozen=True, eq=False)
class LayerStates:
    """The parts ``paths`` of a network, one for each block that attends, whose outputs lie alike, as ``lying`` says.

    All that comes after the last of them is the head, which any of these outputs fits. ``alone`` says that each gives this tensor, not a
    tuple that begins with it; ``cells`` for each attention, those of the head last, where the image's cells stand among what it looks at.
    """

    paths: tuple[str, ...]
    alone: bool
    lying: Lying
    cells: tuple[torch.Tensor, ...] = field(repr=False)

    @property
    def read_outs(self) -> int:
        """How many attentions the head has: class attention, or a pool."""
        return len(self.cells) - len(self.paths)

    def mean(self, state: torch.Tensor) -> torch.Tensor:
        """A state of the same shape whose every token is the mean of all of them."""
        axes = {"tokens": (1,), "last": (1, 2), "first": (2, 3)}[self.lying.form]
        return state.mean(axes, keepdim=True).expand_as(state)


def layer_states(graph: Graph, alone: Mapping[str, Lying], first_of_several: Mapping[str, Lying]) -> LayerStates | str:
    """The states of a graph whose parts gave these maps, by path; why there are none where the head cannot read every block's."""
    maps = {**first_of_several, **alone}
    blocks, read_outs = _parted(graph)
    if not blocks:
        return READ_OUT_ALONE
    calls = Counter(ancestor for node in graph.attended for ancestor in _with_ancestors(node.call.path))
    chain: dict[object, Node] = {id(node): node for node in graph.chain()}
    paths: list[str] = []
    for node in blocks:
        path = _part_of(node, calls, maps)
        if path is None:
            return _of_two_sizes(blocks) or f"no part around {_name(node)} gives tokens that lie on the image for the head to read"
        if maps[path].group not in chain:
            return _of_two_sizes(blocks) or f"the answer is not read through what {path} gives alone, so there is no head for its tokens"
        paths.append(path)
    lying = maps[paths[-1]]
    strange = next((path for path in paths if not _alike(maps[path], lying)), None)
    if strange is not None:
        last, other = (f"{path} gives them ({_size(maps[path])})" for path in (paths[-1], strange))
        return f"its head reads tokens as {last}, and as {other} they do not fit it"
    in_order = {found.group for found in maps.values() if found.grid.shape == lying.grid.shape}
    cells = torch.arange(lying.grid.prefix, lying.grid.tokens)
    for node in blocks:
        below = node.parent
        while isinstance(below, Gathered) and id(below) not in in_order:
            below = below.parent
        if below.places != lying.grid.tokens or id(below) not in in_order:
            return f"the tokens that {_name(node)} looks at do not lie as those that its block gives"
    read: list[torch.Tensor] = []
    for node in read_outs:
        standing = _standing(node.parent, chain[maps[paths[-1]].group])
        if standing is None:
            return f"the tokens that {_name(node)} reads are not those that {paths[-1]} gives"
        read.append(standing[lying.grid.prefix :])
    return LayerStates(tuple(paths), all(path in alone for path in paths), lying, (*[cells] * len(blocks), *read))


def _of_two_sizes(blocks: Sequence[Attended]) -> str | None:
    last = blocks[-1]
    other = next((node for node in blocks if node.parent.places != last.parent.places), None)
    if other is None:
        return None
    return (
        f"its blocks look at different numbers of tokens ({other.parent.places} in {_name(other)}, {last.parent.places} in {_name(last)}), "
        "and one head does not fit what each of them gives"
    )


def _parted(graph: Graph) -> tuple[list[Attended], list[Attended]]:
    """The attentions of the blocks, and after them those of the head: one row each, over more keys than that."""
    nodes = graph.attended
    count = len(nodes)
    while count and nodes[count - 1].places == 1 < nodes[count - 1].parent.places:
        count -= 1
    return nodes[:count], nodes[count:]


def _part_of(node: Attended, calls: Counter[str], maps: Mapping[str, Lying]) -> str | None:
    """The outermost part that gives a map and holds no other attention, an entry of a list if there is one."""
    alone = [path for path in _with_ancestors(node.call.path) if calls[path] == 1 and path in maps]
    return next((path for path in alone if path.rpartition(".")[2].isdigit()), alone[0] if alone else None)


def _with_ancestors(path: str) -> list[str]:
    """The paths of the parts around a part and its own, the outermost first."""
    names = path.split(".")
    return [".".join(names[: count + 1]) for count in range(len(names))]


def _alike(left: Lying, right: Lying) -> bool:
    return (left.form, left.grid, left.channels) == (right.form, right.grid, right.channels)


def _standing(node: Node, tokens: Node) -> torch.Tensor | None:
    """Where each of ``tokens`` stands in a set that is them, or that has them beside others; None where one is not there."""
    if node is tokens:
        return torch.arange(tokens.places)
    share = next((share for share in node.shares if share.parent is tokens), None) if isinstance(node, Joined) else None
    if share is None:
        return None
    places = share.places.cpu()
    standing = torch.full((tokens.places,), -1, dtype=torch.long)
    standing[places[places >= 0]] = torch.nonzero(places >= 0).squeeze(1)
    return None if bool((standing < 0).any()) else standing


def _name(node: Attended) -> str:
    return node.call.path or "an attention"


def _size(lying: Lying) -> str:
    grid = lying.grid
    learned = f" and {grid.prefix} learned" if grid.prefix else ""
    return f"{grid.height} x {grid.width}{learned}, {lying.channels} channels"
