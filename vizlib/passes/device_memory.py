"""What a card without memory left does: less at once, then a word, and the state that it goes back to."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch

from vizlib.errors import CardFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")
R = TypeVar("R")


def enough_memory(function: Callable[P, R]) -> Callable[P, R]:
    """The function with a CardFullError where a card's memory does not suffice; what the attempt took is given back first."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except torch.OutOfMemoryError as error:
            wanted = str(error).partition(". GPU")[0]
        # Outside the handler, whose traceback holds the tensors that filled the card.
        _give_back()
        raise CardFullError(
            f"The card's memory does not suffice ({wanted}): take a smaller input or fewer samples, or load the model with device='cpu'."
        )

    return guarded


def in_parts(function: Callable[[Any], R], many: Sequence[Any] | torch.Tensor) -> list[R]:
    """``function`` of a whole sequence or batch, or of its halves, and theirs, where a card has no room for all at once, in order."""
    try:
        return [function(many)]
    except torch.OutOfMemoryError:
        if len(many) < 2:
            raise
    _give_back()
    half = len(many) // 2
    return [*in_parts(function, many[:half]), *in_parts(function, many[half:])]


def _give_back() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
