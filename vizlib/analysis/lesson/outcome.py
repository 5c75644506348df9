"""A question with the answers there are to choose from, and what was found: read without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TELLS = 0.005  # a smaller loss of probability, or difference of two, reads as none: half a percentage point


@dataclass(frozen=True)
class Outcome:
    """The ``options`` of a question, for each the number that decides, and which are ``right``: the best first, then what ties with it.

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

    @property
    def all_right(self) -> bool:
        """Whether no answer is better than another."""
        return len(self.right) == len(self.options)

    def distance(self, answer: int) -> float:
        """How far an answer is from the nearest right one: options in between where they are ordered, patches on a grid, else 0 or 1."""
        return min(self._apart(answer, place) for place in self.right)

    def nearest(self, answer: int) -> int:
        """The right answer that lies nearest to an answer, the best of several."""
        return min(self.right, key=lambda place: self._apart(answer, place))

    def _apart(self, answer: int, other: int) -> float:
        if self.grid is not None:
            (row, column), (other_row, other_column) = (divmod(place, self.grid[1]) for place in (answer, other))
            return math.hypot(row - other_row, column - other_column)
        return float(abs(answer - other) if self.ordered else answer != other)

    def rank(self, answer: int) -> int:
        """The place of an answer among all options by value, counted from 1, the largest first."""
        return 1 + sum(value > self.values[answer] for value in self.values)


def largest(values: Sequence[float], margin: float = 0.0) -> tuple[int, ...]:
    """The place of the largest of some numbers, then of those that are less than ``margin`` below it or equal to it, falling."""
    most = max(values)
    alike = (place for place, value in enumerate(values) if value == most or most - value < margin)
    return tuple(sorted(alike, key=lambda place: -values[place]))
