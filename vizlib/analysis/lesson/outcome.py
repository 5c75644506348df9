"""A question with the answers there are to choose from, and what was found: read without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Outcome:
    """The ``options`` of a question, for each the number that decides, and which are ``right``.

    ``grid`` (rows, columns) where the options are patches of a picture, row by row; ``ordered`` where they stand in a row, as layers do.
    ``facts`` is what else was measured, by name.
    """

    options: tuple[str, ...]
    values: tuple[float, ...]
    right: tuple[int, ...]
    ordered: bool = False
    grid: tuple[int, int] | None = None
    facts: Mapping[str, str | float | tuple[float, ...]] = field(default_factory=dict, hash=False)
    nbytes: int = 16_000  # what keeping it takes

    def distance(self, answer: int) -> float:
        """How far an answer is from the nearest right one: options in between where they are ordered, patches on a grid, else 0 or 1."""
        if self.grid is not None:
            columns = self.grid[1]
            (row, column), *_ = (divmod(answer, columns),)
            return min(math.hypot(row - place // columns, column - place % columns) for place in self.right)
        if self.ordered:
            return float(min(abs(answer - place) for place in self.right))
        return float(answer not in self.right)

    def rank(self, answer: int) -> int:
        """The place of an answer among all options by value, counted from 1, the largest first."""
        return 1 + sum(value > self.values[answer] for value in self.values)


def largest(values: Sequence[float]) -> tuple[int, ...]:
    """The places of the largest of some numbers: several where they tie."""
    most = max(values)
    return tuple(place for place, value in enumerate(values) if value == most)
