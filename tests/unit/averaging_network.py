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


@dataclass(frozen=True, eq=False)
class Places:
    """A set of places, how it was made and of which: what a residual leads around is read of it."""

    made_by: str
    of: tuple[Places, ...] = ()


@dataclass(frozen=True)
class Twin:
    """``value`` and ``mass`` (1 where something stands, 0 in padding), and the attentions that the number has come through."""

    value: torch.Tensor
    mass: torch.Tensor
    seen: frozenset[int] = frozenset()
    gate: bool = False
    places: Places = Places("")
    silent: torch.Tensor | None = None  # 1 where the attention before gives nothing, so that a residual has its share too

    def mapped(self, function) -> Twin | list[Twin]:
        value, mass = function(self.value), function(self.mass)
        silent = None if self.silent is None else function(self.silent)
        if isinstance(value, torch.Tensor):
            return Twin(value, mass, self.seen, self.gate, self.places, silent)
        silent = [None] * len(value) if silent is None else silent
        return [Twin(v, m, self.seen, self.gate, self.places, s) for v, m, s in zip(value, mass, silent, strict=True)]

    def averaged(self, total, shape=None) -> Twin:
        """Means by a function that sums, padding left out."""
        mass = total(self.mass)
        value, silent = (None if tensor is None else total(tensor) / mass.clamp_min(1e-300) for tensor in (self.value, self.silent))
        shape = mass.shape if shape is None else shape
        silent = None if silent is None else silent.expand(shape)
        return Twin(value.expand(shape), (mass > 0).double().expand(shape), self.seen, silent=silent)


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

    def __init__(
        self, skip: float, branch: float, matrices: list[torch.Tensor] | None = None, silent: list[torch.Tensor | None] | None = None
    ) -> None:
        super().__init__()
        self.skip, self.branch, self.matrices, self.silent = skip, branch, matrices, silent
        self.around: dict[int, tuple[Places, Places]] = {}  # a residual's skip and branch that is one attention alone
        self.weights: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []  # what they were applied to, in the twin

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
            twin = [_joined(own, name, twins) for own in twin] if isinstance(twin, list) else _joined(twin, name, twins)
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
            twin = Twin(func([v for v, _ in pairs], *args[1:], **kwargs), func([m for _, m in pairs], *args[1:], **kwargs), seen)
            silent = [twin.silent if isinstance(twin, Twin) else None for twin, _ in parts]
            if all(part is None for part in silent):
                return twin
            zeros = [torch.zeros_like(v) if part is None else part for part, (v, _) in zip(silent, pairs, strict=True)]
            return replace(twin, silent=func(zeros, *args[1:], **kwargs))
        if name in ("mean", "sum", "amax", "max"):
            axes = args[1] if len(args) > 1 else kwargs.get("dim", tuple(range(args[0].ndim)))
            keep = bool(args[2] if len(args) > 2 else kwargs.get("keepdim", False))
            twin = first.averaged(lambda tensor: tensor.sum(axes, keepdim=keep))
            return twin if isinstance(output, torch.Tensor) else [twin, SCALE]
        if name in ("avg_pool2d", "max_pool2d", "avg_pool1d"):
            return self._pool(name, first, output, *args[1:], **kwargs)
        if name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            return first.averaged(lambda tensor: F.adaptive_avg_pool2d(tensor, output.shape[-2:]))
        if name == "adaptive_avg_pool1d":
            return first.averaged(lambda tensor: F.adaptive_avg_pool1d(tensor, output.shape[-1]))
        if name == "interpolate" and kwargs.get("mode", "nearest") == "nearest":
            return first.mapped(lambda tensor: F.interpolate(tensor, tuple(output.shape[2:])))
        if name == "pad":
            value = lambda tensor: F.pad(tensor, args[1])  # noqa: E731
            return first.mapped(value)
        if name == "unfold2d":
            return first.mapped(lambda tensor: func(tensor, *args[1:], **kwargs))
        if name == "interpolate" and kwargs.get("mode") in ("bilinear", "bicubic"):
            return first.averaged(lambda tensor: _blended(tensor, output.shape, kwargs))
        if name == "conv_transpose2d":
            return self._transposed_convolution(first, output, *args[1:], **kwargs)
        if name == "fold":
            return first.averaged(lambda tensor: func(tensor, *args[1:], **kwargs))
        raise NotImplementedError(f"the averaging network does not know {name}")

    def _linear(self, twin, output):
        if not isinstance(twin, Twin):
            return twin
        own = twin.averaged(lambda tensor: tensor.sum(-1, keepdim=True), output.shape)
        return replace(own, places=twin.places) if _alike(twin.value, -1) else own

    def _convolution(self, twin, output, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if not isinstance(twin, Twin):
            return twin
        convolve = F.conv2d if weight.ndim == 4 else F.conv1d
        ones = torch.ones(weight.shape, dtype=torch.float64)
        own = twin.averaged(lambda tensor: convolve(tensor, ones, None, stride, padding, dilation, groups), output.shape)
        alone = weight[0, 0].numel() == 1 and twin.value.shape[2:] == output.shape[2:] and _alike(twin.value, 1)
        return replace(own, places=twin.places) if alone else own

    def _transposed_convolution(self, twin, output, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        ones = torch.ones(twin.value.shape[1], 1, *weight.shape[2:], dtype=torch.float64)
        return twin.averaged(
            lambda tensor: F.conv_transpose2d(tensor, ones, None, stride, padding, output_padding, 1, dilation), output.shape
        )

    def _pool(self, name, twin, output, kernel_size, stride=None, padding=0, *rest, **kwargs):
        ceil = kwargs.get("ceil_mode", rest[name == "max_pool2d"] if len(rest) > (name == "max_pool2d") else False)
        pool = F.avg_pool1d if name == "avg_pool1d" else F.avg_pool2d
        own = twin.averaged(lambda tensor: pool(tensor, kernel_size, stride, padding, ceil))
        assert own.value.shape == output.shape
        return own

    def _pair(self, name, left, right, output):
        a, b = _of(left), _of(right)
        if isinstance(a, Twin) and isinstance(b, Twin) and name in ("add", "sub"):
            only_a, only_b = a.seen - b.seen, b.seen - a.seen
            same = torch.equal(*torch.broadcast_tensors(a.value, b.value)) and not (only_a or only_b)
            residual = (self.branch, self.skip) if only_a else (self.skip, self.branch)
            parts = (0.5, 0.5) if same or bool(only_a) == bool(only_b) else residual
            for skip, branch in ((a, b), (b, a)):
                number = _around(skip.places, branch.places)
                if number is not None:
                    self.around[number] = (skip.places, branch.places)
                    if branch.silent is not None:
                        filled = branch.value + branch.silent * skip.value
                        a, b = (a, replace(b, value=filled)) if branch is b else (replace(a, value=filled), b)
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
            _set(args[0], Twin(value, mass, base.seen | twin.seen, places=Places("setitem", (twin.places,))))

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
            self.values.append(values.detach())
            output = weights @ values
            return (output.transpose(-2, -1) if turned else output), twin
        value = twin.value.transpose(-2, -1) if turned else twin.value
        matrix = _shares(weights) if self.matrices is None else self.matrices[number]
        output = weights @ values
        self.values.append(value.detach())
        silent = None if self.silent is None or self.silent[number] is None else self.silent[number].expand(output.shape)
        ones, places = torch.ones_like(output, dtype=torch.float64), Places(f"attention {number}", (twin.places,))
        own = Twin((matrix @ value).expand(output.shape), ones, twin.seen | {number}, places=places, silent=silent)
        return (output.transpose(-2, -1), own.mapped(lambda tensor: tensor.transpose(-2, -1))) if turned else (output, own)


_ONE_EACH = {"add", "sub", "mul", "div", "cat", "stack", "setitem"}


def _shares(weights):
    """Weights as shares that sum to 1: by magnitude, as those of heads that were mixed have any sign and sum."""
    magnitude = weights.detach().double().abs()
    return magnitude / magnitude.sum(-1, keepdim=True)


def _joined(twin, name, twins):
    """The twin with the set of places that it belongs to: that of what it was made of, or a new one where several were seen at once."""
    if not isinstance(twin, Twin) or twin.places.made_by:
        return twin
    before = []
    for other in twins:
        if isinstance(other, Twin) and other.places not in before and not (name == "mul" and other.gate):
            before.append(other.places)
    return replace(twin, places=before[0] if len(before) == 1 and name in _ONE_EACH else Places(name, tuple(before)))


def _around(skip, branch):
    """The number of the one attention between a residual's skip and its branch, in a row of sets; None for others."""
    numbers, places = [], branch
    while places is not skip:
        if len(places.of) != 1:
            return None
        if places.made_by.startswith("attention"):
            numbers.append(int(places.made_by.split()[1]))
        (places,) = places.of
    return numbers[0] if len(numbers) == 1 else None


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


def _walk(module, x, skip, branch, matrices=None, silent=None):
    pixels = torch.rand(x.shape[0], 1, *x.shape[2:], dtype=torch.float64, requires_grad=True)
    x = x.clone()
    _set(x, Twin(pixels.expand(x.shape) * 1.0, torch.ones(x.shape, dtype=torch.float64), places=Places("pixels")))
    mode = AveragingNetwork(skip, branch, matrices, silent)
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
    matrices = [(gradient * weights).clamp_min(0) for weights, gradient, _ in _slopes(module, x, target)]
    whole = _walk(module, x, 1.0, 1.0, matrices)[2]
    none = _walk(module, x, 1.0, 1.0, [torch.zeros_like(matrix) for matrix in matrices])[2]
    return whole - none


def gradient_rollout(module, x, target, residual_weight=0.5):
    """The gradient rollout (B, h, w) of a class: rows of relu(mean_h dL/dA * A) scaled to 1.

    Where none speaks, what reads the row stays where it is at an attention that a residual leads around by itself, else the row is A's.
    """
    slopes = _slopes(module, x, target)
    means = [_mean_of_heads(_shares(weights), value) for weights, _, value in slopes]
    logits, mode, _ = _walk(module, x, residual_weight, 1 - residual_weight, means)
    passed = _passed_by_all(_of(logits).places)
    single = {number for number, ends in mode.around.items() if any(_is_sum(places, ends) for places in passed) and ends[0] in passed}
    matrices, silent = [], []
    for number, (weights, gradient, value) in enumerate(slopes):
        spoken = _mean_of_heads(torch.where(weights.abs() < 1e-30, 0.0, weights) * gradient, value).clamp_min(0)
        total = spoken.sum(-1, keepdim=True)
        alone = 0.0 if number in single else means[number]
        matrices.append(torch.where(total > 0, spoken / total.clamp_min(1e-300), alone))
        silent.append((total <= 0).double() if number in single else None)
    return _walk(module, x, residual_weight, 1 - residual_weight, matrices, silent)[2]


def _is_sum(places, ends):
    return places.made_by == "add" and set(places.of) == set(ends)


def _passed_by_all(answer):
    """The sets that every way from the answer to the pixels passes."""
    every = _reached(answer, None)
    return [places for places in every if not any(other.made_by == "pixels" for other in _reached(answer, places))]


def _reached(answer, without):
    stack, seen = [answer], []
    while stack:
        places = stack.pop()
        if places is not without and places not in seen:
            seen.append(places)
            stack.extend(places.of)
    return seen


def _slopes(module, x, target):
    """Of every attention the weights, the gradient of the class's score there and the twin's values."""
    logits, mode, _ = _walk(module, x, 0.5, 0.5)
    for weights in mode.weights:
        weights.grad = None
    logits[:, target].sum().backward(retain_graph=False)
    slopes = []
    for weights, value in zip(mode.weights, mode.values, strict=True):
        gradient = torch.zeros_like(weights) if weights.grad is None else weights.grad
        slopes.append((weights.detach().double(), gradient.double(), value))
    return slopes


def _mean_of_heads(weights, value):
    """Weights (lead..., N, M) with the mean over heads in the place of each: heads are where the values are those of the same places."""
    lead = weights.shape[:-2]
    places = value[..., 0].expand(*lead, value.shape[-2])
    for axis, count in enumerate(lead):
        if _alike(places, axis):
            weights = weights.mean(axis, keepdim=True).expand_as(weights)
        elif len(lead) == 1:  # heads inside of the batch's axis, neighbours there
            heads = max(n for n in range(1, count + 1) if count % n == 0 and _alike(places.unflatten(0, (-1, n)), 1))
            weights = weights.unflatten(0, (-1, heads)).mean(1, keepdim=True).expand(-1, heads, -1, -1).flatten(0, 1)
    return weights


def _alike(places, axis):
    return torch.allclose(places, places.narrow(axis, 0, 1).expand_as(places), rtol=1e-9, atol=0)
