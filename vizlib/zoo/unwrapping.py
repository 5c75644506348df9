"""Modules as people hold them: compiled, spread over devices, averaged, with adapters; the module inside gives the same answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

# Wrappers whose forward is that of the module inside, by the class that defines it and where the module lies.
_INSIDE = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
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


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside every wrapper that only passes its inputs on; the module itself where there is none."""
    while (path := _path_inside(module)) is not None:
        inside: Any = module
        for name in path.split("."):
            inside = getattr(inside, name)
        module = inside
    return module


def _path_inside(module: nn.Module) -> str | None:
    kinds = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)
    return next((_INSIDE[kind] for kind in kinds if kind in _INSIDE), None)
