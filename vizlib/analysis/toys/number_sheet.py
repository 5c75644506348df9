"""A sheet of small grids of exact numbers, where each number knows the sum that it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Place(NamedTuple):
    """A cell of a grid of a sheet, both counted from 0, the cells row by row."""

    grid: int
    cell: int


Products = tuple[tuple[Place, ...], ...]
Part = str | tuple[str, Place]


@dataclass(frozen=True)
class Number:
    """A number that is given (no ``terms``; ``origin`` says where from), or the sum of products of the numbers at ``terms``.

    The sum is divided by the number at ``divisor``, or is the exponent of ``base``.
    """

    value: Fraction
    terms: Products = ()
    divisor: Place | None = None
    base: int | None = None
    origin: str = "given"


@dataclass(frozen=True)
class NumberGrid:
    """Numbers row by row in ``columns``, with a title and a line that says what they are; ``role`` is query, key, value or empty."""

    title: str
    words: str
    columns: int
    numbers: tuple[Number, ...]
    role: str = ""

    @property
    def values(self) -> list[list[Fraction]]:
        """The numbers alone, row by row."""
        values = [number.value for number in self.numbers]
        return [values[start : start + self.columns] for start in range(0, len(values), self.columns)]


class NumberSheet:
    """Grids in the order of the work; each reads those before it."""

    def __init__(self) -> None:
        self.grids: list[NumberGrid] = []

    def give(self, title: str, words: str, rows: Sequence[Sequence[int]], role: str = "") -> int:
        """Add a grid of given numbers; its index."""
        numbers = tuple(Number(Fraction(value)) for row in rows for value in row)
        return self._add(NumberGrid(title, words, len(rows[0]), numbers, role))

    def work_out(
        self,
        title: str,
        words: str,
        columns: int,
        sums: Iterable[Sequence[Sequence[Place]] | Number],
        *,
        divisor: Place | None = None,
        base: int | None = None,
        role: str = "",
    ) -> int:
        """Add a grid of one number for each of ``sums``, which are products of places, or a number that needs no sum; its index."""
        numbers = [terms if isinstance(terms, Number) else self._sum(tuple(map(tuple, terms)), divisor, base) for terms in sums]
        return self._add(NumberGrid(title, words, columns, tuple(numbers), role))

    def value(self, place: Place) -> Fraction:
        """The number at a place."""
        return self.grids[place.grid].numbers[place.cell].value

    def formula(self, place: Place) -> list[Part]:
        """How a number came about, as texts and as (text, place) where another number stands; it ends in the number itself."""
        number = self.grids[place.grid].numbers[place.cell]
        if not number.terms:
            return [f"{written(number.value)}: {number.origin}"]
        parts: list[Part] = [f"{number.base} to the power of "] if number.base is not None else []
        several = len(number.terms) > 1
        if several and (number.divisor or number.base):
            parts.append("(")
        for index, factors in enumerate(number.terms):
            parts += [" + "] if index else []
            for turn, factor in enumerate(factors):
                parts += [" × "] if turn else []
                parts.append((written(self.value(factor)), factor))
        if several and (number.divisor or number.base):
            parts.append(")")
        if number.divisor is not None:
            parts += [" ÷ ", (written(self.value(number.divisor)), number.divisor)]
        return [*parts, f" = {written(number.value)}"]

    def _sum(self, terms: Products, divisor: Place | None, base: int | None) -> Number:
        total = Fraction(0)
        for factors in terms:
            product = Fraction(1)
            for factor in factors:
                product *= self.value(factor)
            total += product
        if base is not None:
            total = Fraction(base ** int(total))
        return Number(total / self.value(divisor) if divisor is not None else total, terms, divisor, base)

    def _add(self, grid: NumberGrid) -> int:
        self.grids.append(grid)
        return len(self.grids) - 1


def window(side: int, kernel: int, row: int, column: int) -> list[tuple[int, int | None]]:
    """The cells of a square grid under a kernel whose top left corner lies at ``row``, ``column``: (place in the kernel, cell or None)."""
    places = [(row + down, column + across) for down in range(kernel) for across in range(kernel)]
    inside = [side * y + x if 0 <= y < side and 0 <= x < side else None for y, x in places]
    return list(enumerate(inside))


def written(value: Fraction) -> str:
    """A number as a visitor reads it: whole, or with its decimals where they end after three, else as a fraction."""
    if value.denominator == 1:
        text = str(abs(value.numerator))
    elif 1000 % value.denominator == 0:
        text = f"{abs(float(value)):.3f}".rstrip("0")
    else:
        text = f"{abs(value.numerator)}/{value.denominator}"
    return f"\N{MINUS SIGN}{text}" if value < 0 else text
