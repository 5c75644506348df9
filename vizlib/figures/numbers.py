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
