"""Numbers as a reader sees them, alike in charts' words, sentences, reports and pages."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share as per cent, with a digit behind the point only where it matters. Mirrored by percent in components/_lib/formatting.js."""
    value = 100 * share
    if 0 < value < 0.1:
        return "under 0.1\u00a0%"
    return f"{value:.1f}\u00a0%" if value < 10 else f"{value:.0f}\u00a0%"
