"""A second module over the same weights, to hook or switch without the first one noticing."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from torch import nn

    Hook = Callable[[tuple[Any, ...], Any], None]


def shared_copy(module: nn.Module) -> nn.Module:
    """A copy that shares every parameter and buffer with ``module`` but has its own hooks, mode and attributes.

    ModelError when some attribute of the module cannot be copied.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in module.parameters()}
    memo.update({id(tensor): tensor for tensor in module.buffers()})
    try:
        return copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{type(module).__name__} cannot be copied for reading ({error}); remove the attribute that refuses.") from error


def meta_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode without weights and hooks, on the meta device: it gives shapes and autograd's graph, no numbers."""
    import torch

    tensors = (*module.parameters(), *module.buffers())
    copied = copy.deepcopy(module, {id(tensor): _without_weights(tensor) for tensor in tensors}).eval()
    for part in copied.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
            hooks.clear()
    return copied.to(dtype=torch.float32)


def _without_weights(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    empty = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(empty, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else empty


def in_evaluation_mode(module: nn.Module) -> nn.Module:
    """The module itself when all of it is in evaluation mode, else a shared copy that is: the module's own mode stays."""
    if any(part.training for part in module.modules()):
        return shared_copy(module).eval()
    return module


@contextmanager
def capture_outputs(module: nn.Module, names: list[str], keep: Callable[[str, Any], None]) -> Iterator[nn.Module]:
    """A shared copy of ``module`` whose named parts hand each output to ``keep(name, output)``."""

    def hand_on(name: str) -> Hook:
        return lambda inputs, output: keep(name, output)  # noqa: ARG005  one signature for all hooks

    with hooked_copy(module, [(name, hand_on(name)) for name in names]) as copied:
        yield copied


@contextmanager
def hooked_copy(module: nn.Module, hooks: Sequence[tuple[str, Hook]]) -> Iterator[nn.Module]:
    """A shared copy of ``module`` that calls each hook with the inputs and the output of the part it is named for."""
    copied = shared_copy(module)
    parts = dict(copied.named_modules())
    for name, hook in hooks:
        parts[name].register_forward_hook(lambda part, inputs, output, hook=hook: hook(inputs, output))  # noqa: ARG005  torch's signature
    yield copied
