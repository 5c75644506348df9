"""Numbers as a reader sees them, alike in charts' words, sentences, reports and pages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_ALL = 100 - 1e-5  # per cent, from which on what is missing is the rounding of a sum


def percent(share: float, digits: int | None = None) -> str:
    """A share as per cent, with a digit behind the point where it matters, or with ``digits`` everywhere.

    What is not nothing is not written as 0 %, and what is not all not as 100 %. Mirrored by percent in components/_lib/formatting.js.
    """
    value = 100 * share
    if 0 < value < (0.1 if digits is None else 0.05):
        return "under 0.1\u00a0%"
    if digits is None:
        digits = 1 if abs(value) < 10 or 99.5 <= value < _ALL else 0
    if value < _ALL and round(value, digits) >= 100:
        return f"over {100 - 10**-digits:.{digits}f}\u00a0%"
    return f"{decimal(value, digits)}\u00a0%"


def decimal(value: float, digits: int = 2) -> str:
    """A number that may be below 0, with a minus sign and not a hyphen; what rounds to nothing has none.

    Mirrored by decimal in components/_lib/formatting.js.
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")


def significant(value: float, digits: int = 3) -> str:
    """A number of any size with so many digits that count, and a minus sign where it is below 0."""
    return f"{value:.{digits}g}".replace("-", "\u2212")


def alike(*values: float, digits: int = 3) -> tuple[str, ...]:
    """Numbers that are read beside each other, all with as many digits behind the point: so many that the largest has ``digits``."""
    largest = max(map(abs, values))
    behind = max(0, digits - 1 - math.floor(math.log10(largest))) if largest > 0 else 0
    return tuple(decimal(value, behind) if behind <= 6 else significant(value, digits) for value in values)


def at_most(value: float) -> str:
    """A bound from 0 on with one digit that counts, rounded up: what is below it is below what is written."""
    if value <= 0:
        return "0"
    unit = 10.0 ** math.floor(math.log10(value))
    return f"{math.ceil(value / unit - 1e-9) * unit:.1g}"


def points(gap: float, *interval: float, digits: int = 0) -> str:
    """A difference of two shares with its sign, and its 95 % ``interval`` where one is given: 40 % and 43 % are 3 points apart, not 3 %.

    An interval that leaves 0 out is written with as many digits, up to two, as show it. Beside the two shares: ``apart``.
    """
    digits = _digits_of(interval, digits)

    def signed(share: float) -> str:
        value = round(100 * share, digits)
        return f"{value:+.{digits}f}".replace("-", "\u2212") if value else f"{0:.{digits}f}"

    one = digits == 0 and abs(round(100 * gap)) == 1
    text = f"{signed(gap)}\u00a0percentage\u00a0point{'' if one else 's'}"
    return f"{text} (95\u00a0%: {' to '.join(map(signed, interval))})" if interval else text


def apart(first: float, second: float, *interval: float, digits: int = 0) -> tuple[str, str, str]:
    """Two shares and ``first`` minus ``second``, in words that agree: not 77 % and 34 %, 42 points apart.

    The difference is that of the shares as they are written, which a reader finds who subtracts. Where the rounded difference is another
    one, all three have a digit more; below 10 % too, as in ``percent``. ``interval`` is as in ``points``.
    """
    digits = digits_apart(first, second, _digits_of(interval, digits))
    return percent(first, digits), percent(second, digits), points(read_gap(first, second, digits), *interval, digits=digits)


def digits_apart(first: float, second: float, digits: int = 0) -> int:
    """So many digits, or as many as ``percent`` has for either share, and one more where their difference rounds to another than theirs."""
    digits = max(digits, int(any(0 <= share < 0.1 or 0.995 <= share < 1 for share in (first, second))))
    return adding_digits((100 * (first - second), 100 * first, -100 * second), digits=digits, most=1)


def read_gap(first: float, second: float, digits: int) -> float:
    """``first`` minus ``second`` of two shares that are written in per cent with so many digits: what a reader gets who subtracts."""
    return written_gap(100 * first, 100 * second, digits) / 100


def written_gap(first: float, second: float, digits: int = 2) -> float:
    """``first`` minus ``second`` of two numbers that are written with so many digits."""
    return round(round(first, digits) - round(second, digits), digits)


def _digits_of(interval: tuple[float, ...], digits: int) -> int:
    """So many digits, or as many more, up to two, as show that an interval leaves 0 out."""
    while digits < 2 and interval and (min(interval) > 0 or max(interval) < 0) and any(not round(100 * end, digits) for end in interval):
        digits += 1
    return digits


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a plus too; what rounds to nothing has none."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "\u2212") if rounded else f"{0:.{digits}f}"


def ends(low: float, high: float, write: Callable[[float, int], str], threshold: float) -> str:
    """An interval in words; ``write`` takes an end and how many digits more than usual.

    One that lies on one side of a ``threshold`` is written with up to two digits more, until it reads so.
    """
    apart = low > threshold or high < threshold
    more = 0
    while more < 2 and apart and write(threshold, more) in (write(low, more), write(high, more)):
        more += 1
    return f"{write(low, more)} to {write(high, more)}"


def adding_digits(*totals: Sequence[float], digits: int, most: int = 2) -> int:
    """How many digits let numbers add up as they are written: in each of ``totals`` the first is the sum of the others.

    From ``digits`` up to ``most`` more, which is what is left where none does.
    """
    for count in range(digits, digits + most):
        if all(not round(round(total, count) - sum(round(part, count) for part in parts), count) for total, *parts in totals):
            return count
    return digits + most


def counted(number: int, thing: str) -> str:
    """A number of things in words."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{number:,} {thing}{'' if number == 1 else plural}"


def of_pictures(count: int, pictures: int) -> str:
    """How many of some pictures: "3 of 8 pictures", "none of 8 pictures", "all 8 pictures", "the one picture"."""
    if count == pictures:
        return ("no picture", "the one picture", "both pictures")[count] if count < 3 else f"all {pictures:,} pictures"
    return f"{count:,} of {counted(pictures, 'picture')}" if count else f"none of {counted(pictures, 'picture')}"


def listed(words: Sequence[str]) -> str:
    """One, one and another, or one, another and a third."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
