"""What every torch function does to places. A function that is not here loses them, and the reason says which one it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.place_graph import attention, windows
from vizlib.tracing.place_graph.calls import Call, tensors
from vizlib.tracing.place_graph.function_names import GATES, MOVES, STAYS
from vizlib.tracing.place_graph.marks import Gate, Lost, Mark, Places, Scores, Weights, mark_of, set_mark
from vizlib.tracing.place_graph.nodes import Learned, Node
from vizlib.tracing.place_graph.rows import IMAGES, added, joined
from vizlib.tracing.token_grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence


def follow(call: Call, marks: Sequence[Mark]) -> Mark | list[Mark]:
    """The mark of what a call gives, one for all of its tensors or one for each of them in turn."""
    lost = next((mark for mark in marks if isinstance(mark, Lost)), None)
    if lost is not None:
        return lost
    if call.name in GATES or all(isinstance(mark, Gate) for mark in marks):
        return Gate()
    if call.name in ("sigmoid", "hardsigmoid"):
        mark = _first(call, marks)
        return replace(mark, gate=True) if isinstance(mark, Places) else mark
    if call.name in STAYS:
        return _first(call, marks)
    if call.name in MOVES:
        return _moved(call)
    handler = _HANDLERS.get(call.name)
    if handler is None:
        return Lost(f"its places cannot be followed through {call.where}")
    return handler(call)


def _first(call: Call, marks: Sequence[Mark]) -> Mark:
    mark = call.mark(0) or marks[0]
    # What scores are made into is known when a softmax follows; until then they stay scores.
    shape = call.output.shape
    if isinstance(mark, Places | Weights) and mark.index.shape != shape:
        return Lost(f"its places cannot be followed through {call.where}")
    return mark


def _moved(call: Call) -> Mark | list[Mark]:
    mark = call.mark(0) or mark_of(call.kwargs.get("input"))
    if mark is None or any(mark_of(value) is not None for value in tensors((call.args[1:], call.kwargs)) if value is not call.args[0]):
        chosen_by_shape = call.name in ("expand_as", "view_as", "reshape_as")
        if mark is None or not chosen_by_shape:
            return Lost(f"{call.where} moves places by what the image holds")
    if not isinstance(mark, Places | Weights):
        return mark
    index = call.on_index(mark.index)
    if isinstance(index, torch.Tensor):
        return replace(mark, index=index)
    return [replace(mark, index=part) for part in tensors(index)]


def learned(name: str, args: tuple[Any, ...], output: Any) -> None:
    """Mark parameters that are repeated for every image of the batch: they are tokens."""
    if name not in ("expand", "repeat", "expand_as", "broadcast_to", "tile") or not isinstance(output, torch.Tensor):
        return
    source = args[0]
    if not isinstance(source, torch.Tensor) or not source.is_floating_point() or output.ndim != 3 or source.ndim not in (1, 3):
        return
    if output.shape[0] != IMAGES or (1,) * (3 - source.ndim) + tuple(source.shape) != (1, *output.shape[1:]):
        return
    count = output.shape[1]
    numbers = torch.arange(IMAGES * count, dtype=torch.float64, device=output.device).view(IMAGES, count, 1)
    set_mark(output, Places(Learned(Grid(0, 0, count)), numbers.expand(output.shape)))


def assigned(target: torch.Tensor, where: Any, value: Any, before: Mark | None) -> Mark:
    """The mark of a tensor after target[where] = value."""
    mark = mark_of(value)
    if isinstance(before, Scores) or isinstance(mark, Scores):
        return before or mark or Gate()
    index = (
        before.index.clone() if isinstance(before, Places) else torch.full(target.shape, -1.0, dtype=torch.float64, device=target.device)
    )
    if mark is None and isinstance(before, Places):
        index[where] = -1
        return Places(before.node, index)
    if not isinstance(mark, Places) or not (before is None or isinstance(before, Places)):
        return Lost("its places cannot be followed through an assignment to a part of a tensor")
    if before is None or before.node is mark.node or not bool((before.index >= 0).any()):
        index[where] = mark.index
        return Places(mark.node, index)
    offset = before.node.places * IMAGES
    index[where] = torch.where(mark.index >= 0, mark.index + offset, -1.0)
    kept = before.node
    if bool(((index >= 0) & (index < offset)).any()):
        return joined([(kept, index), (mark.node, index)], index, [0, offset])
    return Places(mark.node, torch.where(index >= 0, index - offset, -1.0))


def _add(call: Call) -> Mark:
    left, right = (mark_of(value) for value in _two(call))
    if isinstance(left, Weights) or isinstance(right, Weights):
        both = [mark for mark in (left, right) if isinstance(mark, Weights)]
        if call.name == "sub":
            return Lost(f"{call.where} takes attention weights from others, which leaves no positive shares that sum to 1")
        return _still_weights(call, both)
    if isinstance(left, Scores) or isinstance(right, Scores):
        return left if isinstance(left, Scores) else right  # type: ignore[return-value]
    if (isinstance(left, Gate) and isinstance(right, Places)) or (isinstance(right, Gate) and isinstance(left, Places)):
        return Lost(f"{call.where} adds a norm or a variance, which stands at no place")
    if isinstance(left, Places) and isinstance(right, Places):
        sides = [_unless_constant(mark, other) for mark, other in ((left, right), (right, left))]
        if sides[0] and sides[1]:
            return added(left, right, call.output.shape)
        left = left if sides[0] else None
        right = right if sides[1] else None
    mark = left or right
    if not isinstance(mark, Places):
        return Gate()
    return _broadcast(call, mark)


def _unless_constant(mark: Places, other: Places) -> bool:
    """Whether a summand counts: learned tokens do beside what an attention gives them, else they are position tables."""
    return not isinstance(mark.node, Learned) or isinstance(other.node, Learned) or not _is_plain(other)


def _is_plain(mark: Places) -> bool:
    from vizlib.tracing.place_graph.nodes import Attended

    return not isinstance(mark.node, Attended)


def _broadcast(call: Call, mark: Places) -> Mark:
    try:
        return Places(mark.node, torch.broadcast_to(mark.index, call.output.shape))
    except RuntimeError:
        return Lost(f"its places cannot be followed through {call.where}")


def _mul(call: Call) -> Mark:
    left, right = (mark_of(value) for value in _two(call))
    if isinstance(left, Places) and isinstance(right, Places):
        if left.node is right.node and _same(left, right):
            return _broadcast(call, left)
        if left.gate != right.gate:
            return _broadcast(call, right if left.gate else left)
        return Lost(f"{call.where} multiplies two streams of places by each other, so no matrix over places says what it does")
    if isinstance(left, Places) or isinstance(right, Places):
        value, other = (left, right) if isinstance(left, Places) else (right, left)
        assert isinstance(value, Places)  # noqa: S101  one of them is
        if isinstance(other, Scores):
            return Lost(f"{call.where} multiplies places by sums over places without a softmax, so no matrix over places says what it does")
        if isinstance(other, Weights) and _weighs_places(value, other):
            return Lost(f"{call.where} weighs places one by one outside of an attention, so no matrix over places says what it does")
        return _broadcast(call, value)
    weights = [mark for mark in (left, right) if isinstance(mark, Weights)]
    if weights:
        return _still_weights(call, weights)
    return next((mark for mark in (left, right) if isinstance(mark, Scores)), Gate())


def _same(left: Places, right: Places) -> bool:
    try:
        return torch.equal(*torch.broadcast_tensors(left.index, right.index))
    except RuntimeError:
        return False


def _weighs_places(value: Places, weights: Weights) -> bool:
    """Whether the weights' own axis is one along which places change."""
    from vizlib.tracing.place_graph.marks import compact

    varying = [axis for axis, length in enumerate(compact(weights.index).shape[::-1]) if length > 1]
    lengths = compact(value.index).shape[::-1]
    return any(axis < len(lengths) and lengths[axis] > 1 for axis in varying)


def _still_weights(call: Call, weights: list[Weights]) -> Mark:
    try:
        indices = [torch.broadcast_to(mark.index, call.output.shape) for mark in weights]
    except RuntimeError:
        return Lost(f"its attention weights cannot be followed through {call.where}")
    if not all(torch.equal(index, indices[0]) for index in indices):
        return Lost(f"its attention weights cannot be followed through {call.where}")
    return Weights(indices[0], any(mark.over_places for mark in weights), any(mark.mixed for mark in weights))


def _two(call: Call) -> tuple[Any, Any]:
    return call.argument(0, "input"), call.argument(1, "other")


def _div(call: Call) -> Mark:
    left, right = (mark_of(value) for value in _two(call))
    if isinstance(left, Places):
        if isinstance(right, Places) and not (left.node is right.node and _same(left, right)):
            return _broadcast(call, left)  # a scale: its places are not carried
        return _broadcast(call, left)
    if isinstance(left, Weights):
        return left if left.index.shape == call.output.shape else Lost(f"its attention weights cannot be followed through {call.where}")
    return left or Gate()


def _cat(call: Call) -> Mark:
    values, axis = list(call.argument(0, "tensors")), int(call.argument(1, "dim", 0))
    if call.name == "stack":
        axis = axis % (values[0].ndim + 1)
    marks = [mark_of(value) for value in values]
    if any(isinstance(mark, Scores) for mark in marks):
        return next(mark for mark in marks if isinstance(mark, Scores))
    weights = [mark for mark in marks if isinstance(mark, Weights)]
    if weights:
        if len(weights) == len(marks):
            return replace(weights[0], index=call.func([mark.index for mark in weights], axis), asking=None)
        return Lost(f"its attention weights cannot be followed through {call.where}")
    nodes: list[Node] = []
    if any(isinstance(mark, Gate) for mark in marks) and any(isinstance(mark, Places) for mark in marks):
        return Lost(f"{call.where} joins a norm or a variance, which stands at no place, to places")
    for mark in marks:
        if isinstance(mark, Places) and mark.node not in nodes:
            nodes.append(mark.node)
    if not nodes:
        return Gate()
    offsets, total = [], 0
    for node in nodes:
        offsets.append(total)
        total += node.places * IMAGES
    indices = []
    for value, mark in zip(values, marks, strict=True):
        if isinstance(mark, Places):
            offset = offsets[nodes.index(mark.node)]
            indices.append(torch.where(mark.index >= 0, mark.index + offset, -1.0))
        else:
            indices.append(torch.full(value.shape, -1.0, dtype=torch.float64, device=call.output.device))
    index = call.func(indices, axis)
    if len(nodes) == 1:
        return Places(nodes[0], index)
    return joined([(node, index) for node in nodes], index, offsets)


def _where(call: Call) -> Mark:
    if mark_of(call.args[0]) is not None and not isinstance(mark_of(call.args[0]), Gate):
        return Lost(f"{call.where} chooses places by what the image holds")
    return _add(replace(call, args=(*call.args[1:3],)))


def _addcmul(call: Call) -> Mark:
    product = _mul(replace(call, args=(call.args[1], call.args[2])))
    if call.mark(0) is None:
        return product
    probe = torch.empty(0)
    set_mark(probe, product)
    return _add(replace(call, name="add", args=(call.args[0], probe)))


def _pad(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    mode = call.argument(2, "mode", "constant")
    kwargs = {"value": -1.0} if mode == "constant" else {}
    return Places(mark.node, torch.nn.functional.pad(mark.index, tuple(call.argument(1, "pad")), mode=mode, **kwargs))


_HANDLERS = {
    "add": _add, "sub": _add, "mul": _mul, "div": _div, "cat": _cat, "stack": _cat, "hstack": _cat, "where": _where, "addcmul": _addcmul,
    "pad": _pad,
} | windows.HANDLERS | attention.HANDLERS  # fmt: skip
