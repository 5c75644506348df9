"""Modules as people hold them: compiled, spread over devices, averaged, with adapters; the module inside gives the same answers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

# Wrappers whose forward is that of the module inside, by the class that defines it and where the module lies.
_COMPILED = "torch._dynamo.eval_frame.OptimizedModule"
_INSIDE = {
    _COMPILED: "_orig_mod",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "timm.utils.model_ema.ModelEma": "ema",
    "timm.utils.model_ema.ModelEmaV2": "module",
    "timm.utils.model_ema.ModelEmaV3": "module",
    "peft.peft_model.PeftModel": "base_model.model",
    "timm.models.timm_wrapper.TimmWrapperForImageClassification": "timm_model",
    "transformers.models.timm_wrapper.modeling_timm_wrapper.TimmWrapperForImageClassification": "timm_model",
}


_HELD_AS = ("model", "net", "network", "module", "backbone", "encoder")  # what holders without a forward of their own call theirs


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside every wrapper that only passes its inputs on; the module itself where there is none.

    A holder without a ``forward`` of its own, as training frameworks allow, is looked through to the one module that it holds.
    """
    while (inside := _inside(module)) is not None:
        module = inside
    return module


def uncompiled(module: nn.Module) -> nn.Module:
    """The module with what is compiled inside it run as it was written, so that its attention is seen; itself where nothing is.

    The parts around it are copied, but share weights, buffers and hooks with those of the module.
    """
    inside = _inside(module) if _is_compiled(module) else module
    assert inside is not None  # noqa: S101  a compiled module holds the one that it was made of
    children = {name: uncompiled(child) for name, child in inside.named_children()}
    if all(child is getattr(inside, name) for name, child in children.items()):
        return inside
    copied = copy.copy(inside)
    vars(copied)["_modules"] = dict(vars(inside)["_modules"]) | children
    return copied


def _is_compiled(module: nn.Module) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" == _COMPILED for kind in type(module).__mro__)


def _inside(module: nn.Module) -> nn.Module | None:
    kinds = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)
    path = next((_INSIDE[kind] for kind in kinds if kind in _INSIDE), None)
    if path is None:
        return _held(module)
    inside: Any = module
    for name in path.split("."):
        inside = getattr(inside, name)
    return inside


def _held(module: nn.Module) -> nn.Module | None:
    from torch import nn

    defined_by = next(kind for kind in type(module).__mro__ if "forward" in vars(kind))
    if isinstance(module, nn.ModuleList | nn.ModuleDict) or defined_by is not nn.Module or "forward" in vars(module):
        return None
    children = dict(module.named_children())
    named = [children[name] for name in _HELD_AS if name in children]
    weighty = [child for child in children.values() if next(child.parameters(), None) is not None]
    candidates = named or weighty
    return candidates[0] if len(candidates) == 1 else None
