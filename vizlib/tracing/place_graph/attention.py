"""Where attention weights meet values: by a product after a softmax, or by torch's fused function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from vizlib.tracing.place_graph.marks import Gate, Lost, Places, Scores, Weights, compact, mark_of
from vizlib.tracing.place_graph.nodes import Attended, CallShape, Learned
from vizlib.tracing.place_graph.rows import IMAGES, similar_grid
from vizlib.tracing.place_graph.windows import contracted
from vizlib.tracing.products import einsum_product
from vizlib.tracing.token_grid import Grid

if TYPE_CHECKING:
    from vizlib.tracing.place_graph.calls import Call
    from vizlib.tracing.place_graph.marks import Mark

NO_MATRIX = (
    "{path} attends from channel to channel, by weights that are summed over all places, so no matrix over places says where it looks"
)
LINEAR = (
    "{path} multiplies sums over all places without a softmax over them (linear attention), so no matrix over places says where it looks"
)


def _softmax(call: Call) -> Mark:
    x = call.argument(0, "input")
    mark = mark_of(x)
    axis = call.argument(1, "dim")
    axis = -1 if axis is None else int(axis)
    positions = torch.arange(x.shape[axis], dtype=torch.float64, device=x.device)
    lying = positions.view([-1 if number == axis % x.ndim else 1 for number in range(x.ndim)]).expand(x.shape)
    if not isinstance(mark, Scores):
        return Weights(lying, over_places=False)
    kept = mark.asking is not None and axis % x.ndim == x.ndim - 1 and mark.asking.shape == x.shape[:-1]
    return Weights(lying, mark.over_places, asking=mark.asking if kept else None)


def _product(call: Call) -> Mark:
    left, right = call.argument(0, "input"), call.argument(1, "other" if call.name == "matmul" else "mat2")
    a, b = mark_of(left), mark_of(right)
    if (a is None or b is None) and isinstance(a or b, Places) and isinstance((a or b).node, Learned):  # type: ignore[union-attr]
        return Gate()  # nothing of the image is in it
    if isinstance(a, Weights) and isinstance(b, Places) and _over_keys(a, -1):
        return _attended(call, a, b, left.shape, turned=False)
    if isinstance(b, Weights) and isinstance(a, Places) and _over_keys(b, -2):
        return _attended(call, b, a, right.shape, turned=True)
    if isinstance(a, Places | Weights) and b is None:
        moved = contracted(a, -1, right.shape[-1], call.where) if right.ndim == 2 else None
        if moved is not None:
            return Weights(moved.index, moved.over_places, mixed=True) if isinstance(moved, Weights) else moved
    if isinstance(a, Weights) or isinstance(b, Weights):
        if isinstance(a if isinstance(a, Weights) else b, Weights) and (a is None or b is None):
            return Lost(f"{call.where} multiplies attention weights by something else than values")
        return Scores(over_places=True, path=call.path)
    over = any(isinstance(mark, Places) and compact(mark.index).shape[axis] > 1 for mark, axis in ((a, -1), (b, -2)))
    over = over or any(isinstance(mark, Scores) and mark.over_places for mark in (a, b))
    return Scores(over, call.path, _standing(a, call.output.shape))


def _standing(mark: Mark | None, shape: torch.Size) -> torch.Tensor | None:
    """Where the queries of scores (lead..., N, M) stand, (lead..., N), None where that is not one place each."""
    if not isinstance(mark, Places) or mark.index.ndim != len(shape):
        return None
    narrow = compact(mark.index)
    return None if narrow.shape[-1] > 1 else narrow[..., 0].expand(shape[:-1])


def _fused(call: Call) -> Mark:
    query, value = call.argument(0, "query"), call.argument(2, "value")
    mark = mark_of(value)
    if not isinstance(mark, Places):
        return mark if isinstance(mark, Lost) else Gate()
    keys = value.shape[-2]
    lead = torch.broadcast_shapes(query.shape[:-2], value.shape[:-2])
    shape = torch.Size((*lead, query.shape[-2], keys))
    marks = [mark_of(query), mark_of(call.argument(1, "key"))]
    over = any(isinstance(each, Places) and compact(each.index).shape[-1] > 1 for each in marks)
    return _attended(call, Weights(torch.empty(0), over, asking=_standing(marks[0], shape)), mark, shape, turned=False)


def _over_keys(mark: Weights, axis: int) -> bool:
    """Whether the axis that a product sums over is that of the softmax."""
    narrow = compact(mark.index)
    keys = mark.index.shape[axis]
    if keys == 1:
        return True
    lengths = list(narrow.shape)
    lengths[axis] = 1
    return narrow.shape[axis] == keys and all(length == 1 for length in lengths)


def _attended(call: Call, weights: Weights, values: Places, shape: torch.Size, *, turned: bool) -> Mark:
    """New places, one for each row of the weights (lead..., N, M) (transposed if ``turned``) over values (lead..., M, d)."""
    path = call.path or "the network"
    index = values.index.transpose(-2, -1) if turned else values.index
    queries, keys = (shape[-1], shape[-2]) if turned else (shape[-2], shape[-1])
    narrow = compact(index)
    if narrow.shape[-1] > 1:
        return Lost(NO_MATRIX.format(path=path) if weights.over_places else f"{path} weighs channels that stand at different places")
    if weights.over_places and narrow.shape[-2] == 1 and keys > 1:
        return Lost(NO_MATRIX.format(path=path))
    lead = torch.broadcast_shapes(shape[:-2], index.shape[:-2])
    folded = _heads_within(narrow, weights.asking, lead, keys)
    if folded:
        return _attended_folded(call, weights, values, shape, folded, turned=turned)
    lying = narrow[..., 0].expand(*narrow.shape[:-2], keys)
    lying = lying.reshape((1,) * (len(lead) - (lying.ndim - 1)) + tuple(lying.shape))
    outer = [axis for axis in range(len(lead)) if lying.shape[axis] > 1]
    heads = [axis for axis in range(len(lead)) if axis not in outer]
    small = lying.expand([lead[axis] if axis in outer else 1 for axis in range(len(lead))] + [keys])
    table = small.permute(*outer, *heads, len(lead)).reshape(-1, keys)
    node = values.node
    images = table.amax(1).div(node.places, rounding_mode="floor")
    count = len(table) // IMAGES
    if len(table) % IMAGES or bool((images[:count] > 0).any()) or bool((images[count:] == 0).any()):
        return Lost(f"{path} does not keep the images of a batch apart, one after the other")
    first = table[:count]
    if not torch.equal(table[count:], torch.where(first >= 0, first + node.places, -1.0)):
        return Lost(f"{path} treats the images of a batch differently")
    total_heads = 1
    for axis in heads:
        total_heads *= lead[axis]
    shaped = CallShape(call.number, call.path, (*outer, *heads), len(outer), count, total_heads, queries, keys, turned, mixed=weights.mixed)
    grid = similar_grid(node.grid, count * queries) if count == 1 else Grid(1, count * queries)
    new = Attended(grid, node, shaped, first.long())
    numbers = torch.arange(len(table) * queries, dtype=torch.float64, device=table.device)
    numbers = numbers.view(*(lead[axis] for axis in outer), *(1 for _ in heads), queries)
    back = [0] * len(lead)
    for position, axis in enumerate((*outer, *heads)):
        back[axis] = position
    numbers = numbers.permute(*back, len(lead)).expand(*lead, queries)
    numbers = numbers[..., None, :] if turned else numbers[..., None]
    return Places(new, numbers.expand(call.output.shape))


def _heads_within(narrow: torch.Tensor, asking: torch.Tensor | None, lead: torch.Size, keys: int) -> int:
    """How many heads lie inside of the batch's axis, 0 where none do: neighbours there with the same keys and the same queries."""
    if asking is None or len(lead) != 1 or tuple(asking.shape[:-1]) != tuple(lead):
        return 0
    table = narrow[..., 0].expand(lead[0], keys)
    for heads in range(lead[0] // IMAGES, 1, -1):
        if lead[0] % heads == 0:
            groups, rows = table.unflatten(0, (-1, heads)), asking.unflatten(0, (-1, heads))
            if bool((groups == groups[:, :1]).all()) and bool((rows == rows[:, :1]).all()):
                return heads
    return 0


def _attended_folded(call: Call, weights: Weights, values: Places, shape: torch.Size, heads: int, *, turned: bool) -> Mark:
    """The same with the heads, which lie inside of the batch's axis, on an axis of their own."""
    index = values.index.unflatten(0, (-1, heads))
    apart = replace(call, output=call.output.unflatten(0, (-1, heads)))
    mark = _attended(
        apart, replace(weights, asking=None), Places(values.node, index), torch.Size((shape[0] // heads, heads, *shape[1:])), turned=turned
    )
    if not isinstance(mark, Places) or not isinstance(mark.node, Attended):
        return mark
    mark.node.call = replace(mark.node.call, folded=heads)
    return Places(mark.node, mark.index.flatten(0, 1))


def _einsum(call: Call) -> Mark:
    product = einsum_product(call.args[0], call.args[1:])
    if product is not None:
        kind, left, right = product
        a, b = mark_of(left), mark_of(right)
        if kind == "applied" and isinstance(a, Weights) and isinstance(b, Places) and _over_keys(a, -1):
            return _attended(call, a, b, left.shape, turned=False)
        if kind == "scores" and isinstance(a, Places) and isinstance(b, Places):
            over = any(compact(mark.index).shape[-1] > 1 for mark in (a, b))
            return Scores(over, call.path, _standing(a, call.output.shape))
    marks = [mark_of(value) for value in call.args[1:] if isinstance(value, torch.Tensor)]
    if len(marks) == 2 and not any(isinstance(mark, Weights) for mark in marks):
        return Scores(over_places=all(isinstance(mark, Places) for mark in marks), path=call.path)
    if len(marks) == 1 and isinstance(marks[0], Places):
        return Scores(over_places=False, path=call.path)
    return Lost(f"its places cannot be followed through {call.where}")


HANDLERS = {
    "softmax": _softmax, "matmul": _product, "bmm": _product, "scaled_dot_product_attention": _fused, "einsum": _einsum,
}  # fmt: skip
