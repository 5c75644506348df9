"""A second module over the same weights, to hook or switch without the first one noticing."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


def shadow(module: nn.Module) -> nn.Module:
    """A copy that shares every parameter and buffer with ``module`` but has its own hooks, mode and attributes.

    ModelError when some attribute of the module cannot be copied.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in module.parameters()}
    memo.update({id(tensor): tensor for tensor in module.buffers()})
    try:
        return copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{type(module).__name__} cannot be copied for reading ({error}); remove the attribute that refuses.") from error


def resting(module: nn.Module) -> nn.Module:
    """The module itself when all of it is in evaluation mode, else a shadow that is: the module's own mode stays."""
    if any(part.training for part in module.modules()):
        return shadow(module).eval()
    return module


@contextmanager
def tapped(module: nn.Module, names: list[str], keep: Callable[[str, Any], None]) -> Iterator[nn.Module]:
    """A shadow of ``module`` whose named parts hand each output to ``keep(name, output)``."""
    copied = shadow(module)
    parts = dict(copied.named_modules())
    for name in names:
        parts[name].register_forward_hook(lambda part, inputs, output, name=name: keep(name, output))  # noqa: ARG005  torch's signature
    yield copied
