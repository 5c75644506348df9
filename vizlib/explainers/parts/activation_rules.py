"""Other rules than the derivative for activations: every call counts, of a part or of a function, however often a part is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.errors import MethodError
from vizlib.tracing.autograd_graph import graph_nodes
from vizlib.tracing.torch_calls import argument, as_function, first_tensor, writes_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.explainers.scorer import TargetScorer

    Call = Callable[[torch.Tensor], torch.Tensor]

SMALL = 1e-10  # differences below it are none, and the derivative is taken

_RELUS = (torch.relu, torch.Tensor.relu, F.relu, torch.relu_, torch.Tensor.relu_)
_CLAMPS = (
    torch.clamp,
    torch.Tensor.clamp,
    torch.clip,
    torch.Tensor.clip,
    torch.clamp_,
    torch.Tensor.clamp_,
    torch.clip_,
    torch.Tensor.clip_,
)
_CLAMPS_BELOW = (torch.clamp_min, torch.Tensor.clamp_min, torch.clamp_min_, torch.Tensor.clamp_min_)
_MAXIMA = (torch.maximum, torch.Tensor.maximum, torch.max, torch.Tensor.max)
_ELEMENTWISE = {
    F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.selu, F.celu, F.rrelu, F.threshold, F.softplus, F.gelu, F.silu, F.mish, F.hardswish,
    F.hardsigmoid, F.logsigmoid, F.softsign, F.hardshrink, F.softshrink, F.tanhshrink, F.sigmoid, F.tanh,
    torch.selu, torch.celu, torch.threshold, torch.hardshrink, torch.Tensor.hardshrink,
    torch.sigmoid, torch.Tensor.sigmoid, torch.sigmoid_, torch.Tensor.sigmoid_,
    torch.tanh, torch.Tensor.tanh, torch.tanh_, torch.Tensor.tanh_,
    F.relu_, F.leaky_relu_, F.elu_, F.selu_, F.celu_, F.hardtanh_, torch.selu_, torch.celu_,
}  # fmt: skip
_POOLS = {torch.max_pool1d: F.max_pool1d, torch.max_pool2d: F.max_pool2d, torch.max_pool3d: F.max_pool3d}
_POOLS |= {pool: pool for pool in _POOLS.values()}
# Graph nodes of a ReLU, and of what hides the calls inside it.
_RELU_NODES = ("ReluBackward", "ThresholdBackward")
_HIDDEN_NODES = ("DifferentiableGraph", "CompiledFunction", "CheckpointFunction")


class GuidedReLUs(TorchFunctionMode):
    """Inside it no ReLU lets a negative gradient pass backward; what goes forward stays the same to the bit. ``calls`` counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        x = first_tensor(args, kwargs)
        if x is None or not x.requires_grad or not _is_relu(func, args, kwargs):
            return func(*args, **kwargs)
        self.calls += 1
        return _Guided.apply(x, as_function(func, args, kwargs), writes_over(func, args, kwargs))


class RescaledActivations(TorchFunctionMode):
    """Inside it activations pass DeepLIFT's multipliers backward, for a batch whose second half are the baselines of its first.

    An elementwise activation f passes (f(x) - f(b)) / (x - b), a max-pool hands the difference of its maxima to the cells that hold them.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        x = first_tensor(args, kwargs)
        if x is None or not x.requires_grad or len(x) % 2:
            return func(*args, **kwargs)
        if func in _POOLS and not kwargs.get("return_indices", False):
            return _RescaledPool.apply(x, as_function(_POOLS[func], args, kwargs | {"return_indices": True}))
        if func in _ELEMENTWISE or _is_relu(func, args, kwargs) or _is_clamp(func, args, kwargs):
            return _Rescaled.apply(x, as_function(func, args, kwargs), writes_over(func, args, kwargs))
        return func(*args, **kwargs)


def guided_scores(scorer: TargetScorer) -> Call:
    """The scores (n,) of images (n, 3, h, w) whose gradient is that of guided backpropagation.

    MethodError where the model calls no ReLU that can be seen, or hides calls from Python.
    """

    def scores(images: torch.Tensor) -> torch.Tensor:
        with GuidedReLUs() as rules:
            values = scorer.scores(images)
        name = scorer.model.card.name
        nodes = {node.name() for node in graph_nodes(values)}
        if any(kind in node for node in nodes for kind in _HIDDEN_NODES):
            raise MethodError(f"A part of {name} is compiled, traced or checkpointed, so the rule cannot be set at each of its ReLUs.")
        if any(kind in node for node in nodes for kind in _RELU_NODES):
            raise MethodError(f"{name} calls a ReLU in a way that the rule cannot be set at, so the map would not be certain.")
        if not rules.calls:
            raise MethodError(f"{name} calls no ReLU, and the rule changes what passes one.")
        return values

    return scores


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Call, over: bool) -> torch.Tensor:
        y = call(x)
        if over:
            ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return gradient.clamp_min(0) * (y > 0), None, None


class _Rescaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Call, over: bool) -> torch.Tensor:
        before = x.detach().clone()
        with torch.enable_grad():
            slope_at = before.requires_grad_()
            (slope,) = torch.autograd.grad(call(slope_at * 1).sum(), slope_at)  # * 1: a call in place may not write over a leaf
        y = call(x)
        if over:
            ctx.mark_dirty(x)
        ctx.save_for_backward(_multiplier(before.detach(), y.detach(), slope))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (multiplier,) = ctx.saved_tensors
        return gradient * multiplier, None, None


class _RescaledPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        y, where = call(x)
        ctx.save_for_backward(x, y, where)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, y, where = ctx.saved_tensors
        spatial = where.ndim - 2
        now, low = y.chunk(2)
        upper, ours = torch.maximum(now, low), gradient.chunk(2)[0]
        change = torch.cat([(upper - low) * ours, (now - upper) * ours])
        shares = torch.zeros_like(x).flatten(-spatial).scatter_add_(-1, where.flatten(-spatial), change.flatten(-spatial))
        plain = torch.zeros_like(x).flatten(-spatial).scatter_add_(-1, where.flatten(-spatial), gradient.flatten(-spatial))
        share = torch.add(*shares.unflatten(-1, x.shape[-spatial:]).chunk(2))
        difference = torch.sub(*x.chunk(2))
        slope = torch.where(difference.abs() < SMALL, plain.unflatten(-1, x.shape[-spatial:]).chunk(2)[0], share / difference)
        return torch.cat([slope, slope]), None


def _multiplier(x: torch.Tensor, y: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """(2B, ...) from inputs, outputs and slopes (2B, ...) of images and their baselines."""
    into, out = torch.sub(*x.chunk(2)), torch.sub(*y.chunk(2))
    into, out = torch.cat([into, into]), torch.cat([out, out])
    return torch.where(into.abs() < SMALL, slope, out / into)


def _is_relu(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if func in _RELUS or func is F.relu_:
        return True
    if func in (F.threshold, torch.threshold):
        return [argument(args, kwargs, place, name) for place, name in ((1, "threshold"), (2, "value"))] == [0, 0]
    if func in _CLAMPS:
        return _is_zero(argument(args, kwargs, 1, "min")) and argument(args, kwargs, 2, "max") is None
    if func in _CLAMPS_BELOW:
        return _is_zero(argument(args, kwargs, 1, "min"))
    return func in _MAXIMA and isinstance(other := argument(args, kwargs, 1, "other"), torch.Tensor) and _is_zero(other)


def _is_clamp(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    ends = [argument(args, kwargs, place, name) for place, name in ((1, "min"), (2, "max"))]
    return func in (*_CLAMPS, *_CLAMPS_BELOW) and not any(isinstance(end, torch.Tensor) for end in ends)


def _is_zero(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not value.requires_grad and value.device.type != "meta" and not bool(value.any())
    return isinstance(value, int | float) and value == 0
