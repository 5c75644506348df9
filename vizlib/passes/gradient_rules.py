"""Balanced gradients: a backward pass through which input times gradient stays the same sum from layer to layer.

A ``TorchFunctionMode`` belongs to the thread that entered it, and what goes forward stays the same to the bit: nothing is hooked and no
module changes.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.errors import MethodError
from vizlib.passes import balanced_functions as balanced
from vizlib.passes.balanced_functions import Gate, Share, Squash
from vizlib.tracing.autograd_graph import graph_nodes
from vizlib.tracing.multi_head import opened_multi_head
from vizlib.tracing.shared_copy import untrained_copy
from vizlib.tracing.torch_calls import argument, as_function, first_tensor, writes_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import nn

    Args = tuple[Any, ...]
    Kwargs = dict[str, Any]

# Where the two factors of a product stand among the arguments, and their names.
_LEFT_RIGHT: Final = ((0, "input"), (1, "other"))
_PRODUCTS: Final = {
    **dict.fromkeys(("mul", "multiply", "matmul"), _LEFT_RIGHT),
    **dict.fromkeys(("bmm", "mm"), ((0, "input"), (1, "mat2"))),
    **dict.fromkeys(("baddbmm", "addbmm"), ((1, "batch1"), (2, "batch2"))),
    "addmm": ((1, "mat1"), (2, "mat2")),
    "addcmul": ((1, "tensor1"), (2, "tensor2")),
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), ((0, "input"), (1, "weight"))),
}
_GATES: Final = frozenset({"gelu", "silu", "mish", "hardswish", "elu", "selu", "celu", "softplus", "logsigmoid", "softsign", "tanhshrink"})
_SQUASHES: Final = frozenset({"sigmoid", "hardsigmoid", "tanh", "erf"})
_POWERS: Final = frozenset({"pow", "square", "sqrt", "float_power", "local_response_norm"})
_CONSTANTS: Final = frozenset({"exp", "rsqrt", "reciprocal", "__rdiv__", "__rpow__"})
_DIVISIONS: Final = frozenset({"div", "true_divide", "divide"})
_NORMS: Final = {
    name: getattr(balanced, name) for name in ("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm", "normalize")
}
# Through these a gate is still a gate, with the constants that they add or multiply.
_CARRYING: Final = (
    "View", "UnsafeView", "ReshapeAlias", "Expand", "Unsqueeze", "Squeeze", "Permute", "Transpose", "T", "Clone", "ToCopy", "Slice",
    "Select", "Repeat", "Add", "Sub", "Rsub", "Mul", "Div",
)  # fmt: skip
_LONGEST_CHAIN: Final = 12
# What is left of a function whose rule could not be set, in the graph of a pass.
_MISSED: Final = (
    "NativeLayerNorm", "FusedRmsNorm", "NativeGroupNorm", "Gelu", "Silu", "Mish", "Hardswish", "Elu", "Celu", "Selu", "Softplus", "Sigmoid",
    "Hardsigmoid", "Tanh",
)  # fmt: skip


def gradient_rule(rule: str) -> AbstractContextManager[Any]:
    """What a forward pass runs under so that its gradient is that of a rule: "plain", "libra", "cp" or "attn"."""
    return nullcontext() if rule == "plain" else BalancedGradient(rule)


def module_for(module: nn.Module, rule: str) -> nn.Module:
    """The module to run under a rule: one in which only what depends on the image requires a gradient, a copy where that is not so."""
    return module if rule == "plain" else untrained_copy(module)


class BalancedGradient(TorchFunctionMode):
    """Inside it backward passes balance: what goes forward stays the same to the bit.

    The scale of a norm and a divisor are constants, an activation f passes the gate (f(x) - f(0)) / x, a product of two tensors shares its
    slope. Attention: "libra" (Mehri et al. 2025) and "cp" (Ali et al. 2022) hold its weights constant; "attn" (Achtibat et al. 2024)
    shares products with them too, and keeps the softmax's slope. What gates a product is a constant: by "libra" the result of a sigmoid or
    a tanh, by "cp" of any activation. The parameters must require no gradient, so that what requires one comes from the image.
    """

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule
        self.weights_constant = rule != "attn"

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Args = (), kwargs: Kwargs | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return opened_multi_head(*args, **kwargs)
        handle = _HANDLERS.get(getattr(func, "__name__", ""))
        if handle is None or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        return handle(self, func, args, kwargs)

    def constant_factor(self, factors: list[torch.Tensor]) -> int | None:
        """Which of two factors is a gate, None where neither is or both are."""
        if self.rule == "attn":
            return None
        kinds = ("Squash",) if self.rule == "libra" else ("Squash", "Gate")
        gates = [index for index, factor in enumerate(factors) if _is_made_by(factor, kinds)]
        return gates[0] if len(gates) == 1 else None


def _norm(_mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    x = first_tensor(args, kwargs)
    return func(*args, **kwargs) if x is None or not x.requires_grad else _NORMS[func.__name__](*args, **kwargs)


def _activation(function: Any, _mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    x = first_tensor(args, kwargs)
    if x is None or not x.requires_grad:
        return func(*args, **kwargs)
    return function.apply(x, as_function(func, args, kwargs), writes_over(func, args, kwargs))


def _power(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    exponent = argument(args, kwargs, 1, "exponent")
    by_exponent = "pow" in func.__name__
    if by_exponent and isinstance(exponent, torch.Tensor):
        if exponent.requires_grad:
            return func(*args, **kwargs)
        exponent = float(exponent) if exponent.numel() == 1 else 2.0
    if by_exponent and not exponent > 0:
        return _constant(mode, func, args, kwargs)
    return _activation(Gate, mode, func, args, kwargs)


def _constant(_mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    x = first_tensor(args, kwargs)
    if x is None or not x.requires_grad:
        return func(*args, **kwargs)
    y = as_function(func, args, kwargs)(x.detach().clone() if func.__name__.endswith("_") else x.detach())
    return x.copy_(y) if func.__name__.endswith("_") else y


def _softmax(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    return _constant(mode, func, args, kwargs) if mode.weights_constant else func(*args, **kwargs)


def _division(_mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    divisor = argument(args, kwargs, 1, "other")
    if not isinstance(divisor, torch.Tensor) or not divisor.requires_grad:
        return func(*args, **kwargs)
    return func(args[0], divisor.detach(), *args[2:], **{name: value for name, value in kwargs.items() if name != "other"})


def _product(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    name = func.__name__
    over = name in ("mul_", "multiply_")
    places = _PRODUCTS[name.removesuffix("_") if over else name]
    factors = [argument(args, kwargs, place, word) for place, word in places]
    if not all(isinstance(factor, torch.Tensor) and factor.requires_grad for factor in factors):
        return func(*args, **kwargs)
    if over:  # what is written over is needed for the slope
        return args[0].copy_(torch.mul(*_shared(mode, [args[0].clone(), factors[1]])))
    shared = _shared(mode, factors)
    positional, named = list(args), dict(kwargs)
    for (place, word), factor in zip(places, shared, strict=True):
        if place < len(positional):
            positional[place] = factor
        else:
            named[word] = factor
    return func(*positional, **named)


def _einsum(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    operands = list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else list(args[1:])
    live = [index for index, operand in enumerate(operands) if isinstance(operand, torch.Tensor) and operand.requires_grad]
    if len(live) < 2 or not isinstance(args[0], str):
        return func(*args, **kwargs)
    for index, factor in zip(live, _shared(mode, [operands[index] for index in live]), strict=True):
        operands[index] = factor
    return func(args[0], *operands, **kwargs)


def _shared(mode: BalancedGradient, factors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The factors, each with its share of the slope: none for a gate, else equal ones."""
    constant = mode.constant_factor(factors) if len(factors) == 2 else None
    if constant is not None:
        return [factor.detach() if index == constant else factor for index, factor in enumerate(factors)]
    return [Share.apply(factor, 1 / len(factors)) for factor in factors]


def _attention(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    names = ("query", "key", "value", "attn_mask")
    given = dict(zip(names, args[:4], strict=False)) | kwargs
    shares = {"query": 0.25, "key": 0.25, "value": 0.5, "attn_mask": 0.5}
    for name in names:
        tensor = given.get(name)
        if not isinstance(tensor, torch.Tensor) or not tensor.requires_grad:
            continue
        if not mode.weights_constant:
            given[name] = Share.apply(tensor, shares[name])
        elif name != "value":
            given[name] = tensor.detach()
    given.setdefault("attn_mask", None)
    return func(*(given.pop(name) for name in names), *args[4:], **given)


def _glu(mode: BalancedGradient, func: Any, args: Args, kwargs: Kwargs) -> Any:
    x = first_tensor(args, kwargs)
    if x is None or not x.requires_grad:
        return func(*args, **kwargs)
    if not mode.weights_constant:
        return as_function(func, args, kwargs)(Share.apply(x, 0.5))
    dim = argument(args, kwargs, 1, "dim")
    passed, gate = x.chunk(2, -1 if dim is None else dim)
    return as_function(func, args, kwargs)(torch.cat([passed, gate.detach()], -1 if dim is None else dim))


def _handlers() -> dict[str, Callable[[BalancedGradient, Any, Args, Kwargs], Any]]:
    handlers: dict[str, Callable[[BalancedGradient, Any, Args, Kwargs], Any]] = {}
    for names, handle in (
        (_NORMS, _norm),
        (_GATES, partial(_activation, Gate)),
        (_SQUASHES, partial(_activation, Squash)),
        (_POWERS, _power),
        (_CONSTANTS, _constant),
        (("softmax", "softmin"), _softmax),
        (_DIVISIONS, _division),
        ((*_PRODUCTS, "mul", "multiply"), _product),
    ):
        handlers |= dict.fromkeys(names, handle)
    for name in (*_GATES, *_SQUASHES, *_POWERS, *_CONSTANTS, *_DIVISIONS, "mul", "multiply"):
        handlers[f"{name}_"] = handlers[name]
    return handlers | {"einsum": _einsum, "scaled_dot_product_attention": _attention, "glu": _glu}


_HANDLERS: Final = _handlers()


def _is_made_by(tensor: torch.Tensor, kinds: tuple[str, ...]) -> bool:
    """Whether functions of these kinds made a tensor, but for its shape and constants added or multiplied."""
    node: Any = tensor.grad_fn
    for _ in range(_LONGEST_CHAIN):
        if node is None:
            return False
        name = node.name()
        if name in [f"{kind}Backward" for kind in kinds]:
            return True
        before = [following for following, _ in node.next_functions if following is not None]
        if len(before) != 1 or name.rstrip("0123456789").removesuffix("Backward") not in _CARRYING:
            return False
        node = before[0]
    return False


def check_balanced(name: str, answer: torch.Tensor, rule: str) -> None:
    """MethodError where some function on the way to the answer of a model (``name``) is out of a rule's sight."""
    if rule == "plain":
        return
    if not answer.requires_grad:
        raise MethodError(
            f"No gradient by the rule {rule} reaches the pixels of {name}: its answer comes through a softmax, an exponential or a part "
            "that is detached, which the rule holds constant; wrap the module without it, or take gradient='plain'."
        )
    for node in graph_nodes(answer):
        kind = node.name()
        own = isinstance(node, torch.autograd.function.BackwardCFunction)
        if own and getattr(node, "_forward_cls", type(node)).__module__.startswith("vizlib"):
            continue
        hidden = own or "DifferentiableGraph" in kind
        if hidden or kind.startswith(_MISSED) or (rule != "attn" and kind.startswith("Softmax")):
            function = kind.rstrip("0123456789").removesuffix("Backward")
            raise MethodError(f"{name} runs {function} out of sight, so the rule {rule} cannot be set there; take gradient='plain'.")
