"""The parts and weights of a module, walked in one loop: torch's own generators recurse, which costs a small network more than its pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


def parts_of(module: nn.Module) -> list[nn.Module]:
    """What ``module.modules()`` gives: each part once, itself first."""
    seen: set[int] = set()
    found, waiting = [], [module]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            found.append(part)
            waiting += [inner for inner in part._modules.values() if inner is not None][::-1]
    return found


def unwatched(module: nn.Module) -> str:
    """The end of a refusal: why what happens inside of a module cannot be watched, and what to do; nothing where it can."""
    path = next((path for path, part in module.named_modules() if isinstance(part, torch.jit.ScriptModule)), None)
    return "" if path is None else f": {path or 'it'} is TorchScript, whose parts cannot be watched; wrap the network that it was made from"


def tensors_of(module: nn.Module) -> list[torch.Tensor]:
    """What ``module.parameters()`` gives and then ``module.buffers()``: each once."""
    parts = parts_of(module)
    own: list[torch.Tensor] = [tensor for part in parts for tensor in part._parameters.values() if tensor is not None]
    own += [tensor for part in parts for tensor in part._buffers.values() if tensor is not None]
    return list({id(tensor): tensor for tensor in own}.values())


def parts_that_hold(module: nn.Module, wanted: set[int]) -> set[int]:
    """The ids of the module, of its parts with these ids, and of all parts that hold one of them, wherever it lies."""
    holding: dict[int, bool] = {}

    def holds(part: nn.Module) -> bool:
        if id(part) not in holding:
            holding[id(part)] = id(part) in wanted
            inside = [holds(inner) for inner in part._modules.values() if inner is not None]
            holding[id(part)] |= any(inside)
        return holding[id(part)]

    holds(module)
    return {id(module), *(number for number, is_one in holding.items() if is_one)}
