"""What can be changed while a translator writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Options:
    """Changes to attention. The scores are divided by ``temperature``; ``scale`` forces the division by sqrt(d) or takes it away.

    ``mask`` says for each source character whether its key may be read; ``order`` puts keys and values in another order together.
    ``scores`` and ``head_weights`` stand in for a step's scores before, or its weights after the softmax (made to sum to 1), one number
    for each key. Mask, scores and weights are given in the source's order, whatever ``order`` says. In the Transformer, temperature,
    scale, mask and order change attention to the source in every layer, scores and weights every head of the last one.
    """

    temperature: float = 1.0
    scale: bool | None = None
    mask: tuple[bool, ...] | None = None
    head_weights: Mapping[int, tuple[float, ...]] | None = None
    scores: Mapping[int, tuple[float, ...]] | None = None
    order: tuple[int, ...] | None = None

    def check(self, keys: int, *, attention: bool = True) -> None:
        """MethodError when an option does not fit a source of ``keys`` characters, or changes attention where there is none."""
        if not attention and self != Options():
            raise MethodError("This model has no attention, so there is nothing of it to change: choose a model with a score function.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise MethodError(f"The temperature divides the scores, so it is a number above 0, not {self.temperature}.")
        if self.mask is not None:
            _count(self.mask, keys, "mask")
            if not any(self.mask):
                raise MethodError("The mask leaves no character to read: leave at least one.")
        if self.order is not None and sorted(self.order) != list(range(keys)):
            raise MethodError(f"The order must name each of the {keys} characters, 0 to {keys - 1}, once.")
        for quantity, rows_by_step in (("scores", self.scores), ("weights", self.head_weights)):
            for step, row in (rows_by_step or {}).items():
                _count(row, keys, f"{quantity} of step {step}")
                if not all(math.isfinite(value) for value in row):
                    raise MethodError(f"The {quantity} of step {step} must be numbers.")
        for step, row in (self.head_weights or {}).items():
            if min(row) < 0 or sum(row) <= 0:
                raise MethodError(f"The weights of step {step} must not be negative, and their sum must be above 0.")


AS_TRAINED: Final = Options()


def _count(entries: Sequence[object], keys: int, name: str) -> None:
    if len(entries) != keys:
        raise MethodError(f"The {name} have one entry for each character, {keys} of them, not {len(entries)}.")
