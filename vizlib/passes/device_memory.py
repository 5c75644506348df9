"""What a card without memory left says, and the state that it goes back to."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

from vizlib.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def enough_memory(function: Callable[P, R]) -> Callable[P, R]:
    """The function with a DeviceError where a card's memory does not suffice; what the attempt took is given back first."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except torch.OutOfMemoryError as error:
            wanted = str(error).partition(". GPU")[0]
        # Outside the handler, whose traceback holds the tensors that filled the card.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise DeviceError(f"The card's memory does not suffice ({wanted}): give fewer images at once, or load the model with device='cpu'.")

    return guarded
