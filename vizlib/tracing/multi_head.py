"""torch's own multi-head attention function, opened so that a function mode sees the products inside it."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch.nn.functional as F


def opened_multi_head(*args: Any, **kwargs: Any) -> Any:
    """``F.multi_head_attention_forward``, the same code, which under a mode does not hand itself over as a whole."""
    closed = F.multi_head_attention_forward
    names = {**vars(F), "has_torch_function": lambda tensors: False}  # noqa: ARG005  torch's signature
    opened = FunctionType(closed.__code__, names, closed.__name__, closed.__defaults__, closed.__closure__)
    opened.__kwdefaults__ = closed.__kwdefaults__
    return opened(*args, **kwargs)


def head_count(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """The number of heads in the arguments of a call of it."""
    return int(kwargs["num_heads"] if "num_heads" in kwargs else args[4])
