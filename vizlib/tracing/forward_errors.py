"""An error in a module's own forward as one sentence; what a hook of the user's raises comes through as it is."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import ModelError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from torch import nn


@contextmanager
def forward_errors(name: str, module: nn.Module, x: torch.Tensor) -> Iterator[None]:
    """ModelError, with the model's name and the input's shape, for what ``module`` raises inside the block.

    Errors of vizlib, of memory and of hooks that are on the module come through.
    """
    try:
        yield
    except (VizlibError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        if _raised_by_a_hook(error, module):
            raise
        lines = str(error).strip().splitlines()
        what = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
        if len(x) > 1 and _runs(module, x[:1]):
            raise ModelError(
                f"{name} runs on one image and not on {len(x)} together ({what}), which this call needs; trace or export it for any number."
            ) from error
        raise ModelError(
            f"{name} cannot run on images of shape {tuple(x.shape)} alone ({what}); see that module(x) runs on such a tensor."
        ) from error


def _runs(module: nn.Module, x: torch.Tensor) -> bool:
    try:
        with torch.no_grad():
            module(x.clone())
    except Exception:  # noqa: BLE001  any code may run here
        return False
    return True


def _raised_by_a_hook(error: BaseException, module: nn.Module) -> bool:
    codes = {
        _code(hook) for part in module.modules() for hooks in (part._forward_hooks, part._forward_pre_hooks) for hook in hooks.values()
    }
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _code(hook: Any) -> CodeType | None:
    """The code that a hook runs: of a function, a method, a partial of one, or an object that can be called."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    function = getattr(hook, "__func__", hook)
    if not hasattr(function, "__code__"):
        function = vars(type(hook)).get("__call__")
    return getattr(function, "__code__", None)
