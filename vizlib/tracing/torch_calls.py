"""What the arguments of a torch function say, as a function mode is handed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

_WITH_INPLACE = {
    F.relu,
    F.relu6,
    F.hardtanh,
    F.leaky_relu,
    F.elu,
    F.selu,
    F.celu,
    F.rrelu,
    F.threshold,
    F.silu,
    F.mish,
    F.hardswish,
    F.hardsigmoid,
}


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
    """The real numbers that a function is called on, None where its first argument is no such tensor."""
    x = args[0] if args else kwargs.get("input", kwargs.get("self"))
    return x if isinstance(x, torch.Tensor) and x.is_floating_point() and x.ndim else None


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    """An argument by its place or its name, None where it was not given."""
    return args[place] if len(args) > place else kwargs.get(name)


def as_function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[torch.Tensor], Any]:
    """The call as a function of its first argument."""
    if args:
        return lambda x: func(x, *args[1:], **kwargs)
    rest = {name: value for name, value in kwargs.items() if name not in ("input", "self")}
    return lambda x: func(x, **rest)


def writes_over(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an activation changes its first argument, as ``relu_`` and ``inplace=True`` do."""
    if getattr(func, "__name__", "").endswith("_"):
        return True
    if kwargs.get("inplace", False):
        return True
    # By place it comes last; no other argument of an activation is a truth value.
    return func in _WITH_INPLACE and bool(args[1:]) and args[-1] is True
