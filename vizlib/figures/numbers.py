"""Numbers as a reader sees them, alike in charts' words, sentences, reports and pages."""

from __future__ import annotations


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
    """A number that may be below 0, with a minus sign and not a hyphen."""
    return f"{value:.{digits}f}".replace("-", "\u2212")


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
