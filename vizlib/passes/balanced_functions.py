"""Functions that go forward as torch's own do, and backward as if a scale, a gate or one factor of a product were a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Call = Callable[[torch.Tensor], torch.Tensor]


class Share(torch.autograd.Function):
    """The same numbers, and a share of their gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, share: float) -> torch.Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.share, None


class Gate(torch.autograd.Function):
    """An activation y = f(x) whose slope is (f(x) - f(0)) / x, as of x times a constant gate; ``over`` says that it writes over x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Call, over: bool) -> torch.Tensor:
        before = x.detach().clone() if over else x
        y = call(x)
        if over:
            ctx.mark_dirty(x)
        ctx.save_for_backward(gate(before, y, call))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None


class Squash(Gate):
    """The gate of a function with two bounds, which usually gates something else."""


class Norm(torch.autograd.Function):
    """A norm y = (x - mean) scale weight + bias whose scale is a constant.

    ``shape`` is how x lies for the mean over ``dims`` (none without a mean) and for ``scale``; ``weight`` broadcasts to x or is None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        y: torch.Tensor,
        scale: torch.Tensor,
        weight: torch.Tensor | None,
        shape: Sequence[int],
        dims: Sequence[int],
    ) -> torch.Tensor:
        ctx.save_for_backward(scale, weight)
        ctx.shape, ctx.dims, ctx.dtype = shape, dims, x.dtype
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale, weight = ctx.saved_tensors
        slope = (gradient if weight is None else gradient * weight).reshape(ctx.shape)
        if ctx.dims:
            slope = slope - slope.mean(ctx.dims, keepdim=True)
        return (slope * scale).reshape(gradient.shape).to(ctx.dtype), None, None, None, None, None


def gate(x: torch.Tensor, y: torch.Tensor, call: Call) -> torch.Tensor:
    """(f(x) - f(0)) / x of y = f(x), and f's slope at 0 where that is 0 / 0."""
    with torch.enable_grad():
        zero = x.new_zeros((1,) * x.ndim, requires_grad=True)
        at_zero = call(zero * 1)  # * 1: a call in place may not write over a leaf
        (slope,) = torch.autograd.grad(at_zero, zero)
    start = float(at_zero.detach())
    if not start:
        return (y / x).nan_to_num_(float(slope.nan_to_num(0, 0, 0)), torch.inf, -torch.inf)  # 0 / 0 is the one NaN
    # Near 0 the difference holds no digits any more, and the slope is as good.
    near = torch.finfo(x.dtype).eps ** 0.5
    return ((y - start) / x).masked_fill_(x.abs() <= near, float(slope))


def layer_norm(
    input: torch.Tensor,  # noqa: A002  the names are those of torch's function
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> torch.Tensor:
    """``F.layer_norm``."""
    with torch.no_grad():
        y, _mean, scale = torch.native_layer_norm(input, list(normalized_shape), weight, bias, eps)
    dims = range(input.ndim - len(normalized_shape), input.ndim)
    return _norm(input, y, scale, weight, input.shape, tuple(dims))


def rms_norm(
    input: torch.Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    eps: float | None = None,
) -> torch.Tensor:
    """``F.rms_norm``."""
    with torch.no_grad():
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = tuple(range(input.ndim - len(normalized_shape), input.ndim))
        scale = (wide.square().mean(dims, keepdim=True) + (torch.finfo(wide.dtype).eps if eps is None else eps)).rsqrt()
        y = F.rms_norm(input, list(normalized_shape), weight, eps)
    return _norm(input, y, scale, weight, input.shape, ())


def group_norm(
    input: torch.Tensor,  # noqa: A002
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> torch.Tensor:
    """``F.group_norm``."""
    with torch.no_grad():
        y = F.group_norm(input, num_groups, weight, bias, eps)
    shape = (len(input), num_groups, -1)
    return _norm(input, y, _scale(input, shape, (2,), eps), _by_channel(weight, input.ndim), shape, (2,))


def instance_norm(
    input: torch.Tensor,  # noqa: A002
    running_mean: torch.Tensor | None = None,
    running_var: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """``F.instance_norm``; by running statistics it is affine as it stands."""
    if not use_input_stats:
        return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    with torch.no_grad():
        y = F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    shape = (len(input), input.shape[1], -1)
    return _norm(input, y, _scale(input, shape, (2,), eps), _by_channel(weight, input.ndim), shape, (2,))


def batch_norm(
    input: torch.Tensor,  # noqa: A002
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """``F.batch_norm``; by running statistics it is affine as it stands."""
    if not training and running_var is not None:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    with torch.no_grad():
        y = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    dims = (0, *range(2, input.ndim))
    return _norm(input, y, _scale(input, input.shape, dims, eps), _by_channel(weight, input.ndim), input.shape, dims)


def normalize(
    input: torch.Tensor,  # noqa: A002
    p: float = 2.0,
    dim: int | tuple[int, ...] = 1,
    eps: float = 1e-12,
    out: torch.Tensor | None = None,  # noqa: ARG001  no module that is differentiated gives it
) -> torch.Tensor:
    """``F.normalize``: the length is a constant."""
    length = input.detach().norm(p, dim, keepdim=True).clamp_min(eps)
    return input / length.expand_as(input)


def _norm(
    x: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, weight: torch.Tensor | None, shape: Sequence[int], dims: Sequence[int]
) -> torch.Tensor:
    result: torch.Tensor = Norm.apply(x, y, scale, weight, shape, dims)
    return result


def _scale(x: torch.Tensor, shape: Sequence[int], dims: Sequence[int], eps: float) -> torch.Tensor:
    with torch.no_grad():
        wide = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(shape)
        return (wide.var(tuple(dims), correction=0, keepdim=True) + eps).rsqrt()


def _by_channel(weight: torch.Tensor | None, ndim: int) -> torch.Tensor | None:
    return None if weight is None else weight.view(-1, *(1,) * (ndim - 2))
