"""A network's averaging twin, as a reference for walks to the pixels that shares no code with them.

The untouched module runs in float64. Beside every number that depends on the image runs a second one: attention takes the weights that the
module just computed, whole matrices of them, and everything else that sees several places at once takes plain means (padding left out).
All channels of a place carry the same number, so the twin is linear in the pixels, and autograd's derivative of its answer with respect to
them is the product of all its matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

_SAME = {
    "batch_norm", "clamp", "clone", "contiguous", "detach", "dropout", "dropout2d", "elu", "exp", "float", "gelu", "group_norm",
    "hardswish", "hardtanh", "instance_norm", "layer_norm", "leaky_relu", "masked_fill", "neg", "normalize", "pow", "prelu", "relu",
    "relu6", "rms_norm", "rms_norm2d", "silu", "softplus", "sqrt", "square", "rsqrt", "tanh", "to", "type_as",
}  # fmt: skip
_MOVE = {
    "T", "chunk", "expand", "flatten", "flip", "getitem", "index_select", "mT", "movedim", "narrow", "permute",
    "pixel_unshuffle", "repeat", "repeat_interleave", "reshape", "reshape_as", "roll", "select", "split", "split_with_sizes",
    "squeeze", "swapaxes", "t", "tile", "transpose", "unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as",
}  # fmt: skip
_SCALE = {
    "linalg_vector_norm", "norm", "std", "var", "vector_norm",
}  # fmt: skip


@dataclass(frozen=True)
class Twin:
    """``value`` and ``mass`` (1 where something stands, 0 in padding), and the attentions that the number has come through."""

    value: torch.Tensor
    mass: torch.Tensor
    seen: frozenset[int] = frozenset()
    gate: bool = False

    def mapped(self, function) -> Twin | list[Twin]:
        value, mass = function(self.value), function(self.mass)
        if isinstance(value, torch.Tensor):
            return Twin(value, mass, self.seen, self.gate)
        return [Twin(v, m, self.seen, self.gate) for v, m in zip(value, mass, strict=True)]


class _Kind:
    """Numbers that are no place's: attention scores and weights, or what only scales."""


SCORES, WEIGHTS, SCALE = _Kind(), _Kind(), _Kind()


def _name(func: Any) -> str:
    if func is F.unfold:
        return "unfold2d"
    name = getattr(func, "__name__", "")
    name = getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name.strip("_")
    return {"iadd": "add", "radd": "add", "imul": "mul", "rmul": "mul", "truediv": "div", "itruediv": "div", "isub": "sub"}.get(name, name)


class AveragingNetwork(TorchFunctionMode):
    """Runs the twin beside the module. ``matrices`` replaces what the heads' mean of an attention is, ``parted`` weighs residuals."""

    def __init__(self, skip: float, branch: float, matrices: list[torch.Tensor] | None = None) -> None:
        super().__init__()
        self.skip, self.branch, self.matrices = skip, branch, matrices
        self.weights: list[torch.Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = _name(func)
        if name == "scaled_dot_product_attention":
            return self._attention(*args, **kwargs)
        if name == "multi_head_attention_forward":
            with self:
                return _multi_head(*args, **kwargs)
        if name == "einsum" and len(args) == 3 and _of(args[1]) is WEIGHTS and isinstance(_of(args[2]), Twin):
            output, twin = self._applied(args[1], args[2])
            _set(output, twin)
            return output
        before = _of(args[0]) if args else None
        twins = [_of(value) for value in _flat((args, kwargs)) if _of(value) is not None]
        if name in ("matmul", "bmm") and any(twin is WEIGHTS for twin in twins):
            output, twin = self._applied(*args)
            _set(output, twin)
            return output
        if name == "einsum" and len(args) == 3 and _of(args[1]) is WEIGHTS:
            assert args[0].replace(" ", "").endswith("IJ,BGHJD->BGHID"), args[0]  # a product of matrices
            output, twin = self._applied(*args[1:])
            _set(output, twin)
            return output
        if name == "setitem":
            return self._assign(func, args, before)
        output = func(*args, **kwargs)
        if not twins:
            self._token(name, args, output)
            return output
        outputs = list(_flat(output))
        if outputs:
            twin = self._twin(name, func, args, kwargs, output, twins)
            for tensor, own in zip(outputs, twin if isinstance(twin, list) else [twin] * len(outputs), strict=True):
                assert not isinstance(own, Twin) or own.value.shape == tensor.shape, (name, own.value.shape, tensor.shape)
                _set(tensor, own)
        return output

    def _twin(self, name, func, args, kwargs, output, twins):
        first = _of(args[0]) if args else None
        if name in _SCALE or all(twin is SCALE for twin in twins):
            return SCALE
        if name == "softmax":
            return WEIGHTS
        if name in ("new_zeros", "ones_like"):
            return None
        if name in ("sigmoid", "hardsigmoid"):
            return replace(first, gate=True) if isinstance(first, Twin) else first
        if name in _SAME:
            return first
        if name in _MOVE:
            if not isinstance(first, Twin):
                return first
            if name in ("view", "reshape_as", "view_as"):
                return first.mapped(lambda tensor: tensor.reshape(output.shape))
            return first.mapped(lambda tensor: func(tensor, *args[1:], **kwargs))
        if any(twin is WEIGHTS for twin in twins) and name in ("add", "mul", "div", "sum", "sub"):
            values = [twin for twin in twins if isinstance(twin, Twin)]
            return values[0].mapped(lambda tensor: tensor.expand(output.shape)) if values and name == "mul" else WEIGHTS
        if name in ("matmul", "bmm", "einsum"):
            operand = args[1] if name != "einsum" else None
            return self._linear(first, output) if operand is not None and _of(operand) is None and isinstance(first, Twin) else SCORES
        if any(twin is SCORES for twin in twins):
            return SCORES
        if name == "linear":
            return self._linear(first, output)
        if name in ("conv2d", "conv1d"):
            return self._convolution(first, output, *args[1:], **kwargs)
        if name in ("add", "sub", "mul", "div"):
            return self._pair(name, args[0], args[1], output)
        if name in ("cat", "stack"):
            parts = [(_of(part), part) for part in args[0]]
            seen = frozenset().union(*(twin.seen for twin, _ in parts if isinstance(twin, Twin)))
            pairs = [
                (twin.value, twin.mass) if isinstance(twin, Twin) else (torch.zeros_like(part, dtype=torch.float64),) * 2
                for twin, part in parts
            ]
            return Twin(func([v for v, _ in pairs], *args[1:], **kwargs), func([m for _, m in pairs], *args[1:], **kwargs), seen)
        if name in ("mean", "sum", "amax", "max"):
            axes = args[1] if len(args) > 1 else kwargs.get("dim", tuple(range(args[0].ndim)))
            keep = bool(args[2] if len(args) > 2 else kwargs.get("keepdim", False))
            total, mass = first.value.sum(axes, keepdim=keep), first.mass.sum(axes, keepdim=keep)
            twin = Twin(total / mass.clamp_min(1e-300), (mass > 0).double(), first.seen)
            return twin if isinstance(output, torch.Tensor) else [twin, SCALE]
        if name in ("avg_pool2d", "max_pool2d", "avg_pool1d"):
            return self._pool(name, first, output, *args[1:], **kwargs)
        if name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            total, mass = (F.adaptive_avg_pool2d(tensor, output.shape[-2:]) for tensor in (first.value, first.mass))
            return Twin(total / mass.clamp_min(1e-300), (mass > 0).double(), first.seen)
        if name == "adaptive_avg_pool1d":
            total, mass = (F.adaptive_avg_pool1d(tensor, output.shape[-1]) for tensor in (first.value, first.mass))
            return Twin(total / mass.clamp_min(1e-300), (mass > 0).double(), first.seen)
        if name == "interpolate" and kwargs.get("mode", "nearest") == "nearest":
            return first.mapped(lambda tensor: F.interpolate(tensor, tuple(output.shape[2:])))
        if name == "pad":
            value = lambda tensor: F.pad(tensor, args[1])  # noqa: E731
            return first.mapped(value)
        if name == "unfold2d":
            return first.mapped(lambda tensor: func(tensor, *args[1:], **kwargs))
        if name == "interpolate" and kwargs.get("mode") in ("bilinear", "bicubic"):
            total, mass = (_blended(tensor, output.shape, kwargs) for tensor in (first.value, first.mass))
            return Twin(total / mass, torch.ones_like(mass), first.seen)
        if name == "conv_transpose2d":
            return self._transposed_convolution(first, output, *args[1:], **kwargs)
        if name == "fold":
            total, mass = (func(tensor, *args[1:], **kwargs) for tensor in (first.value, first.mass))
            return Twin(total / mass.clamp_min(1e-300), (mass > 0).double(), first.seen)
        raise NotImplementedError(f"the averaging network does not know {name}")

    def _linear(self, twin, output):
        if not isinstance(twin, Twin):
            return twin
        total, mass = twin.value.sum(-1, keepdim=True), twin.mass.sum(-1, keepdim=True)
        value = torch.where(mass > 0, total / mass.clamp_min(1e-300), 0.0)
        return Twin(value.expand(output.shape), (mass > 0).double().expand(output.shape), twin.seen)

    def _convolution(self, twin, output, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if not isinstance(twin, Twin):
            return twin
        convolve = F.conv2d if weight.ndim == 4 else F.conv1d
        ones = torch.ones(weight.shape, dtype=torch.float64)
        total, mass = (convolve(tensor, ones, None, stride, padding, dilation, groups) for tensor in (twin.value, twin.mass))
        return Twin((total / mass.clamp_min(1e-300)).expand(output.shape), (mass > 0).double().expand(output.shape), twin.seen)

    def _transposed_convolution(self, twin, output, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        ones = torch.ones(twin.value.shape[1], 1, *weight.shape[2:], dtype=torch.float64)
        total, mass = (
            F.conv_transpose2d(tensor, ones, None, stride, padding, output_padding, 1, dilation) for tensor in (twin.value, twin.mass)
        )
        return Twin((total / mass.clamp_min(1e-300)).expand(output.shape), (mass > 0).double().expand(output.shape), twin.seen)

    def _pool(self, name, twin, output, kernel_size, stride=None, padding=0, *rest, **kwargs):
        ceil = kwargs.get("ceil_mode", rest[name == "max_pool2d"] if len(rest) > (name == "max_pool2d") else False)
        pool = F.avg_pool1d if name == "avg_pool1d" else F.avg_pool2d
        total, mass = (pool(tensor, kernel_size, stride, padding, ceil) for tensor in (twin.value, twin.mass))
        assert total.shape == output.shape
        return Twin(total / mass.clamp_min(1e-300), (mass > 0).double(), twin.seen)

    def _pair(self, name, left, right, output):
        a, b = _of(left), _of(right)
        if isinstance(a, Twin) and isinstance(b, Twin) and name in ("add", "sub"):
            only_a, only_b = a.seen - b.seen, b.seen - a.seen
            same = torch.equal(*torch.broadcast_tensors(a.value, b.value)) and not (only_a or only_b)
            residual = (self.branch, self.skip) if only_a else (self.skip, self.branch)
            parts = (0.5, 0.5) if same or bool(only_a) == bool(only_b) else residual
            return Twin(a.value * parts[0] + b.value * parts[1], torch.maximum(*torch.broadcast_tensors(a.mass, b.mass)), a.seen | b.seen)
        if isinstance(a, Twin) and isinstance(b, Twin) and a.gate != b.gate:
            return (b if a.gate else a).mapped(lambda tensor: tensor.expand(output.shape))
        if isinstance(a, Twin) and isinstance(b, Twin):
            assert torch.allclose(*torch.broadcast_tensors(a.value, b.value), rtol=1e-9), f"{name} of two places"
        twin = a if isinstance(a, Twin) else b
        return twin.mapped(lambda tensor: tensor.expand(output.shape)) if isinstance(twin, Twin) else SCALE

    def _assign(self, func, args, before):
        func(*args)
        twin = _of(args[2])
        if isinstance(twin, Twin):
            base = before if isinstance(before, Twin) else Twin(*(torch.zeros(args[0].shape, dtype=torch.float64) for _ in range(2)))
            value, mass = base.value.clone(), base.mass.clone()
            value[args[1]], mass[args[1]] = twin.value, twin.mass
            _set(args[0], Twin(value, mass, base.seen | twin.seen))

    def _token(self, name, args, output):
        if (
            name in ("expand", "repeat")
            and isinstance(output, torch.Tensor)
            and output.ndim == 3
            and args[0].shape[0] == 1
            and args[0].shape[1:] == output.shape[1:]
        ) and args[0].requires_grad:
            _set(output, Twin(torch.zeros_like(output), torch.ones_like(output)))

    def _attention(self, q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
        scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        weights = scores.softmax(-1)
        _set(weights, WEIGHTS)
        output, twin = self._applied(weights, v)
        _set(output, twin)
        return output

    def _applied(self, left, right):
        """The product of weights and values, the weights kept with their graph where there is one."""
        turned = _of(right) is WEIGHTS
        weights, values = (right.transpose(-2, -1), left.transpose(-2, -1)) if turned else (left, right)
        twin = _of(left if turned else right)
        if weights.requires_grad:
            weights = weights.clone()
            weights.retain_grad()
        number = len(self.weights)
        self.weights.append(weights)
        if not isinstance(twin, Twin):
            output = weights @ values
            return (output.transpose(-2, -1) if turned else output), twin
        value = twin.value.transpose(-2, -1) if turned else twin.value
        matrix = weights.detach().double() if self.matrices is None else self.matrices[number]
        output = weights @ values
        own = Twin((matrix @ value).expand(output.shape), torch.ones_like(output, dtype=torch.float64), twin.seen | {number})
        return (output.transpose(-2, -1), own.mapped(lambda tensor: tensor.transpose(-2, -1))) if turned else (output, own)


def _blended(tensor, shape, options):
    """A resized map, every weight of the resampling by its magnitude."""
    options = {key: value for key, value in options.items() if key in ("mode", "align_corners", "antialias")}
    for axis in (2, 3):
        side, length = tensor.shape[axis], shape[axis]
        unit = torch.eye(side, dtype=torch.float64).view(side, 1, side, 1).repeat(1, 1, 1, side)
        matrix = F.interpolate(unit, (length, side), **options)[:, 0, :, 0].abs()
        tensor = (tensor.movedim(axis, -1) @ matrix).movedim(-1, axis)
    return tensor


def _multi_head(query, key, value, width, heads, in_weight, in_bias, bias_k, bias_v, zero, dropout, out_weight, out_bias, **options):
    """torch's multi-head attention (n, B, C) without masks, written out."""
    assert bias_k is None
    assert not zero
    assert options.get("attn_mask") is None
    projected = [F.linear(x, w, b) for x, w, b in zip((query, key, value), in_weight.chunk(3), in_bias.chunk(3), strict=True)]
    q, k, v = (x.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for x in projected)
    mixed = F.scaled_dot_product_attention(q, k, v).permute(2, 0, 1, 3).flatten(2)
    return F.linear(mixed, out_weight, out_bias), None


def _of(value: Any) -> Any:
    return getattr(value, "_twin", None) if isinstance(value, torch.Tensor) else None


def _set(tensor: torch.Tensor, twin: Any) -> None:
    tensor._twin = twin


def _flat(values):
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _flat(list(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _flat(value)


def _walk(module, x, skip, branch, matrices=None):
    pixels = torch.rand(x.shape[0], 1, *x.shape[2:], dtype=torch.float64, requires_grad=True)
    x = x.clone()
    _set(x, Twin(pixels.expand(x.shape) * 1.0, torch.ones(x.shape, dtype=torch.float64)))
    mode = AveragingNetwork(skip, branch, matrices)
    with mode:
        logits = module(x)
    twin = _of(logits)
    assert isinstance(twin, Twin), "the answer has no twin"
    answer = twin.value[:, 0].sum()
    (gradient,) = torch.autograd.grad(answer, pixels, retain_graph=True, allow_unused=True)
    return logits, mode, torch.zeros_like(pixels[:, 0]) if gradient is None else gradient[:, 0]


def rollout(module, x, residual_weight=0.5):
    """The rollout (B, h, w) of inputs x, by the averaging twin."""
    return _walk(module, x, residual_weight, 1 - residual_weight)[2]


def relevance(module, x, target):
    """The relevance (B, h, w) of a class, by the averaging twin: what all ways carry less what no attention touches."""
    logits, mode, _ = _walk(module, x, 0.5, 0.5)
    for weights in mode.weights:
        weights.grad = None
    logits[:, target].sum().backward(retain_graph=False)
    matrices = []
    for weights in mode.weights:
        gradient = torch.zeros_like(weights) if weights.grad is None else weights.grad
        matrices.append((gradient * weights).detach().clamp_min(0).double())
    whole = _walk(module, x, 1.0, 1.0, matrices)[2]
    none = _walk(module, x, 1.0, 1.0, [torch.zeros_like(matrix) for matrix in matrices])[2]
    return whole - none
