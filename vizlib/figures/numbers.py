"""Numbers as a reader sees them, alike in charts' words, sentences, reports and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def percent(share: float, digits: int | None = None) -> str:
    """A share as per cent, with a digit behind the point where it matters, or with ``digits`` everywhere.

    Mirrored by percent in components/_lib/formatting.js.
    """
    value = 100 * share
    if 0 < value < (0.1 if digits is None else 0.05):
        return "under 0.1\u00a0%"
    if digits is not None:
        return f"{value:.{digits}f}\u00a0%"
    return f"{value:.1f}\u00a0%" if value < 10 else f"{value:.0f}\u00a0%"


def decimal(value: float, digits: int = 2) -> str:
    """A number that may be below 0, with a minus sign and not a hyphen; what rounds to nothing has none.

    Mirrored by decimal in components/_lib/formatting.js.
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")


def points(gap: float, *interval: float, digits: int = 0) -> str:
    """A difference of two shares with its sign, and its 95 % ``interval`` where one is given: 40 % and 43 % are 3 points apart, not 3 %.

    An interval that leaves 0 out is written with as many digits, up to two, as show it.
    """
    while digits < 2 and interval and (min(interval) > 0 or max(interval) < 0) and any(not round(100 * end, digits) for end in interval):
        digits += 1

    def signed(share: float) -> str:
        value = round(100 * share, digits)
        return f"{value:+.{digits}f}".replace("-", "\u2212") if value else f"{0:.{digits}f}"

    one = digits == 0 and abs(round(100 * gap)) == 1
    text = f"{signed(gap)}\u00a0percentage\u00a0point{'' if one else 's'}"
    return f"{text} (95\u00a0%: {' to '.join(map(signed, interval))})" if interval else text


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

    From ``digits`` up to ``most`` more; ``digits`` where none does.
    """
    for count in range(digits, digits + most + 1):
        if all(not round(round(total, count) - sum(round(part, count) for part in parts), count) for total, *parts in totals):
            return count
    return digits


def counted(number: int, thing: str) -> str:
    """A number of things in words."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{number:,} {thing}{'' if number == 1 else plural}"


def of_pictures(count: int, pictures: int) -> str:
    """How many of some pictures: "3 of 8 pictures", "none of 8 pictures", "all 8 pictures", "the one picture"."""
    if count == pictures:
        return ("no picture", "the one picture", "both pictures")[count] if count < 3 else f"all {pictures:,} pictures"
    return f"{count:,} of {counted(pictures, 'picture')}" if count else f"none of {counted(pictures, 'picture')}"
