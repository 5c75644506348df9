"""What functions that look at several places at once make of them: convolutions, pools, means and linear layers over stacked places."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.tracing.place_graph.marks import Gate, Lost, Places, Weights, compact, mark_of
from vizlib.tracing.place_graph.nodes import Gathered
from vizlib.tracing.place_graph.rows import gathered

if TYPE_CHECKING:
    from vizlib.tracing.place_graph.calls import Call
    from vizlib.tracing.place_graph.marks import Mark


def contracted(mark: Places | Weights, axis: int, length: int, where: str) -> Mark:
    """A linear map of one axis to another ``length``: of channels it moves nothing, of places it takes equal shares."""
    axis %= mark.index.ndim
    index = mark.index.movedim(axis, -1)
    narrow = compact(index)
    shape = (*index.shape[:-1], length)
    if narrow.shape[-1] == 1:
        wide = narrow.expand(shape).movedim(-1, axis)
        return replace(mark, index=wide, gate=False) if isinstance(mark, Places) else replace(mark, index=wide, asking=None)
    if isinstance(mark, Weights):
        return Lost(f"{where} mixes attention weights over their keys")
    rows = gathered(mark.node, narrow)
    return rows if isinstance(rows, Lost) else Places(rows.node, rows.index[..., None].expand(shape).movedim(-1, axis))


def _linear(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places | Weights):
        return mark or Gate()
    moved = contracted(mark, -1, call.output.shape[-1], call.where)
    return _head_mix(moved)


def _head_mix(mark: Mark) -> Mark:
    return Weights(mark.index, mark.over_places, mixed=True) if isinstance(mark, Weights) else mark


def _conv(call: Call) -> Mark:
    x, weight = call.argument(0, "input"), call.argument(1, "weight")
    mark = mark_of(x)
    if mark_of(weight) is not None:
        return Lost(f"{call.where} makes its kernel of the image")
    if isinstance(mark, Weights):
        if all(side == 1 for side in weight.shape[2:]):
            return _head_mix(contracted(mark, 1, call.output.shape[1], call.where))
        return Lost(f"{call.where} convolves attention weights")
    if not isinstance(mark, Places):
        return mark or Gate()
    axes = weight.ndim - 2
    stride, padding, dilation = (_pair(call.argument(position, name, default)) for position, name, default in (
        (3, "stride", 1), (4, "padding", 0), (5, "dilation", 1)))  # fmt: skip
    index = mark.index if mark.index.ndim == axes + 2 else mark.index[None]
    if padding == ("same", "same"):
        total = [step * (side - 1) for step, side in zip(dilation, weight.shape[-2:], strict=True)]
        index = F.pad(index, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2), value=-1.0)
        padding = (0, 0)
    if axes == 1:
        index, stride, padding, dilation = index[:, :, None], (1, stride[0]), (0, padding[0]), (1, dilation[0])
    kernel = (1, *weight.shape[2:]) if axes == 1 else tuple(weight.shape[2:])
    channels = compact(index).shape[1]
    groups = int(call.argument(6, "groups", 1))
    if channels > 1 and groups > 1 and axes == 2:
        return _by_group(call, mark, index, groups, (kernel, stride, padding, dilation))
    return _windowed(call, mark, index, kernel, stride, padding, dilation)


def _windowed(
    call: Call, mark: Places, index: torch.Tensor, kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any = (1, 1)
) -> Mark:
    """Equal shares of the cells that each window covers, padding left out."""
    alike = index[:, :1] if compact(index).shape[1] == 1 else index
    shape = tuple(call.output.shape[-2:]) if call.output.ndim == 4 else (1, call.output.shape[-1])
    table = F.unfold(alike + 1, kernel, dilation=dilation, padding=padding, stride=stride) - 1
    rows = gathered(mark.node, table.transpose(1, 2), shape)
    if isinstance(rows, Lost):
        return rows
    whole = torch.arange(mark.node.places, dtype=alike.dtype, device=alike.device).view(1, 1, -1)
    plain = (
        mark.node.grid.shape == tuple(index.shape[-2:]) and not mark.node.grid.prefix and alike.shape[1] == 1 and tuple(dilation) == (1, 1)
    )
    plain = plain and rows.node.grid.shape == shape
    if plain and isinstance(rows.node, Gathered) and rows.node is not mark.node and torch.equal(alike[:1].flatten(2), whole):
        rows.node.window = (tuple(kernel), tuple(stride), tuple(padding))
    lying = rows.index.view(rows.index.shape[0], 1, *shape)
    if call.output.ndim != 4:
        lying = lying.view(*([rows.index.shape[0], 1, shape[1]] if call.output.ndim == 3 else [1, shape[1]]))
    return Places(rows.node, lying.expand(call.output.shape))


def _by_group(call: Call, mark: Places, index: torch.Tensor, groups: int, window: tuple[Any, ...]) -> Mark:
    """Windows over channels that stand at different places, each group of channels by itself; groups that are alike are one."""
    kernel, stride, padding, dilation = window
    apart = index.unflatten(1, (groups, -1))
    apart = apart[:, :, :1] if compact(apart).shape[2] == 1 else apart
    kinds, kind_of = _kinds(apart)
    images, count = kinds.shape[:2]
    table = F.unfold(kinds.flatten(0, 1) + 1, kernel, dilation=dilation, padding=padding, stride=stride) - 1
    rows = gathered(mark.node, table.view(images, count, -1, table.shape[-1]).transpose(2, 3))
    if isinstance(rows, Lost):
        return rows
    lying = rows.index.view(images, count, 1, *call.output.shape[2:])[:, kind_of]
    return Places(rows.node, lying.expand(-1, -1, call.output.shape[1] // groups, -1, -1).flatten(1, 2))


def _kinds(index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The different channels of (B, C, ...), (B, kinds, ...), and which of them each channel is."""
    kinds, kind_of = torch.unique(index.transpose(0, 1).flatten(1), dim=0, return_inverse=True)
    return kinds.view(len(kinds), index.shape[0], *index.shape[2:]).transpose(0, 1), kind_of


def _pool(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    kernel = _pair(call.argument(1, "kernel_size"))
    stride = _pair(call.argument(2, "stride", None) or kernel)
    padding = _pair(call.argument(3, "padding", 0))
    dilation = _pair(call.argument(4, "dilation", 1)) if "max" in call.name else (1, 1)
    index = mark.index if mark.index.ndim == 4 else mark.index[None]
    fits = [
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, k, s, p, d in zip(index.shape[-2:], kernel, stride, padding, dilation, strict=True)
    ]
    missing = [max(0, (out - fit) * s) for out, fit, s in zip(call.output.shape[-2:], fits, stride, strict=True)]
    index = F.pad(index, (padding[1], padding[1] + missing[1], padding[0], padding[0] + missing[0]), value=-1.0)
    if compact(index).shape[1] > 1:
        return _by_group(call, mark, index, index.shape[1], (kernel, stride, (0, 0), dilation))
    return _windowed(call, mark, index, kernel, stride, (0, 0), dilation)


def _pool1d(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    kernel = _pair(call.argument(1, "kernel_size"))[0]
    stride = _pair(call.argument(2, "stride", None) or kernel)[0]
    return _windowed(call, mark, mark.index[:, :, None], (1, kernel), (1, stride), (0, _pair(call.argument(3, "padding", 0))[0]))


def _adaptive_pool(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    index = mark.index if mark.index.ndim == 4 else mark.index[:, :, None]
    target = tuple(call.output.shape[2:]) if mark.index.ndim == 4 else (1, int(call.output.shape[-1]))
    source = tuple(index.shape[-2:])
    if target == source:
        return mark
    planes, kind_of = _kinds(index[:, :1] if compact(index).shape[1] == 1 else index)
    rows, columns = (_adaptive_bins(s, t) for s, t in zip(source, target, strict=True))
    cells = [[r * source[1] + c for r in row for c in column] for row in rows for column in columns]
    most = max(map(len, cells))
    table = torch.tensor([[*bin_, *[-1] * (most - len(bin_))] for bin_ in cells], device=index.device)
    padded = torch.where(table >= 0, planes.flatten(2)[:, :, table.clamp_min(0)], -1.0)
    new = gathered(mark.node, padded, target)
    if isinstance(new, Lost):
        return new
    lying = new.index.view(len(index), -1, *target)[:, kind_of]
    return Places(new.node, lying.expand(len(index), index.shape[1], -1, -1).reshape(call.output.shape))


def _adaptive_bins(source: int, target: int) -> list[range]:
    return [range(number * source // target, -(-(number + 1) * source // target)) for number in range(target)]


def _reduced(call: Call) -> Mark | list[Mark]:
    """A mean, a sum or a maximum over some axes."""
    mark = call.mark(0)
    axes = call.argument(1, "dim")
    axes = call.argument(1, "axis") if axes is None else axes
    keep = bool(call.argument(2, "keepdim"))
    if isinstance(mark, Weights):
        return Gate()
    if not isinstance(mark, Places):
        return mark or Gate()
    index = mark.index
    chosen = list(range(index.ndim)) if axes is None else [axis % index.ndim for axis in ([axes] if isinstance(axes, int) else axes)]
    kept = [axis for axis in range(index.ndim) if axis not in chosen]
    narrow = compact(index)
    if all(narrow.shape[axis] == 1 for axis in chosen):
        small = narrow.expand([1 if axis in chosen else length for axis, length in enumerate(index.shape)])
        return Places(mark.node, small if keep else small.permute(*kept, *chosen).flatten(len(kept))[..., 0])
    table = narrow.permute(*kept, *chosen).flatten(len(kept))
    rows = gathered(mark.node, table)
    if isinstance(rows, Lost):
        return rows
    lying = rows.index.expand([index.shape[axis] for axis in kept])
    if keep:
        for axis in sorted(chosen):
            lying = lying.unsqueeze(axis)
    new = Places(rows.node, lying)
    return new if isinstance(call.output, torch.Tensor) else [new, Gate()]


def _transposed_conv(call: Call) -> Mark:
    """Each cell takes equal shares of the cells whose window it lies in."""
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    weight = call.argument(1, "weight")
    stride, padding, dilation = (_pair(call.argument(position, name, default)) for position, name, default in (
        (3, "stride", 1), (4, "padding", 0), (7, "dilation", 1)))  # fmt: skip
    narrow = compact(mark.index)
    if narrow.shape[1] != 1 or mark.index.ndim != 4 or weight.ndim != 4:
        return Lost(f"its places cannot be followed through {call.where}")
    cells = weight.shape[2] * weight.shape[3]
    entries = mark.index[:, :1].flatten(2).expand(-1, cells, -1)
    return _laid(call, mark, entries, tuple(call.output.shape[2:]), tuple(weight.shape[2:]), dilation, padding, stride)


def _unfold(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    return Places(mark.node, F.unfold(mark.index + 1, *call.args[1:], **call.kwargs) - 1)


def _fold(call: Call) -> Mark:
    """Windows laid over each other: a cell takes equal shares of the windows' entries that fall on it."""
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    size = _pair(call.argument(1, "output_size"))
    kernel = _pair(call.argument(2, "kernel_size"))
    dilation, padding, stride = (_pair(call.argument(position, name, default)) for position, name, default in (
        (3, "dilation", 1), (4, "padding", 0), (5, "stride", 1)))  # fmt: skip
    cells = kernel[0] * kernel[1]
    entries = mark.index.unflatten(1, (-1, cells))
    if compact(entries).shape[1] != 1:
        return Lost(f"{call.where} lays channels that stand at different places over each other")
    return _laid(call, mark, entries[:, 0], size, kernel, dilation, padding, stride)


def _laid(call: Call, mark: Places, entries: torch.Tensor, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Mark:
    """Entries (B, kernel cells, windows) laid over a grid: each cell takes equal shares of those that fall on it."""
    homes = torch.arange(1, size[0] * size[1] + 1, dtype=torch.float64, device=entries.device).view(1, 1, *size)
    homes = F.unfold(homes, kernel, dilation=dilation, padding=padding, stride=stride)[0].flatten().long() - 1
    order = homes.argsort(stable=True)
    order = order[homes[order] >= 0]
    sorted_homes = homes[order]
    starts = torch.searchsorted(sorted_homes, torch.arange(size[0] * size[1], device=homes.device))
    rank = torch.arange(len(order), device=homes.device) - starts[sorted_homes]
    table = torch.full((entries.shape[0], size[0] * size[1], int(rank.max()) + 1), -1.0, dtype=torch.float64, device=entries.device)
    table[:, sorted_homes, rank] = entries.flatten(1)[:, order]
    rows = gathered(mark.node, table, size)
    return rows if isinstance(rows, Lost) else Places(rows.node, rows.index.view(-1, 1, *size).expand(call.output.shape))


def _interpolated(call: Call) -> Mark:
    mark = call.mark(0)
    if not isinstance(mark, Places):
        return mark or Gate()
    if call.output.shape == mark.index.shape:
        return mark
    if call.kwargs.get("mode", "nearest").startswith("nearest"):
        return Places(mark.node, F.interpolate(mark.index, tuple(call.output.shape[2:]), mode=call.kwargs.get("mode", "nearest")))
    mode, corners = call.kwargs.get("mode", "nearest"), call.kwargs.get("align_corners")
    antialias = bool(call.kwargs.get("antialias", False))
    if mode not in ("bilinear", "bicubic") or compact(mark.index).shape[1] != 1:
        return Lost(f"its places cannot be followed through {call.where}")
    # Shares by the magnitude of each cell's weight, which is negative for some in a bicubic one.
    sides = zip(mark.index.shape[2:], call.output.shape[2:], strict=True)
    down, across = (_blend(source, target, mode, corners, antialias=antialias, device=mark.index.device) for source, target in sides)
    tall, wide = (axis.topk(int((axis > 0).sum(1).max()), 1) for axis in (down, across))
    cells = tall.indices[:, None, :, None] * mark.index.shape[3] + wide.indices[None, :, None, :]
    weights = (tall.values[:, None, :, None] * wide.values[None, :, None, :]).flatten(2).flatten(0, 1)
    table = torch.where(weights > 0, mark.index[:, 0].flatten(1)[:, cells.flatten(2).flatten(0, 1)], -1.0)
    shape = tuple(call.output.shape[2:])
    rows = gathered(mark.node, table, shape, weights)
    return rows if isinstance(rows, Lost) else Places(rows.node, rows.index.view(-1, 1, *shape).expand(call.output.shape))


def _blend(source: int, target: int, mode: str, corners: Any, *, antialias: bool, device: torch.device) -> torch.Tensor:
    """By what share each of ``target`` cells in a row takes from ``source`` cells: (target, source)."""
    unit = torch.eye(source, dtype=torch.float64, device=device)[:, None, :, None].expand(-1, -1, -1, source)
    blended = F.interpolate(unit, (target, source), mode=mode, align_corners=corners, antialias=antialias)[:, 0, :, 0].T.abs()
    return torch.where(blended > 1e-12, blended, 0.0) / blended.sum(1, keepdim=True)


def _pair(value: Any) -> Any:
    if isinstance(value, str):
        return (value, value) if value == "same" else (0, 0)
    values = tuple(value) if isinstance(value, tuple | list | torch.Size) else (value,)
    return values if len(values) == 2 else values * 2


HANDLERS = {
    "linear": _linear, "conv1d": _conv, "conv2d": _conv, "avg_pool1d": _pool1d, "avg_pool2d": _pool, "max_pool2d": _pool,
    "adaptive_avg_pool1d": _adaptive_pool, "adaptive_avg_pool2d": _adaptive_pool, "adaptive_max_pool2d": _adaptive_pool, "mean": _reduced,
    "sum": _reduced, "amax": _reduced, "max": _reduced, "unfold2d": _unfold, "fold": _fold, "conv_transpose2d": _transposed_conv,
    "interpolate": _interpolated,
}  # fmt: skip
