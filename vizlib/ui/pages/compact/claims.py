"""What the Compact Transformers paper claims, put to the test on the page's picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.claims import Claim, verdict_above
from vizlib.figures.numbers import decimal, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST = 0.03
"""The smallest difference of drifts that counts on one picture."""
EXACT = 1e-4
"""A smaller drift of tokens is none but for rounding."""


def equivariance_claim(compact: float, plain: float) -> Claim:
    """Whether the tokens that convolutions make move along with the picture better than patches do, by their largest drift."""
    gap = plain - compact
    return Claim(
        "Convolutions make tokens that move along with the picture: equivariance, which a plain transformer has to learn.",
        "over a shift of one token, the largest drift of CCT's tokens is smaller than that of ViT's patches.",
        f"CCT {compact:.2f}, ViT {plain:.2f}. On one picture a difference counts from {LEAST:.2f} on.",
        verdict_above(gap - LEAST, gap + LEAST),
        ("Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704",),
    )


def moved_words(drifts: Mapping[str, Sequence[float]]) -> str:
    """Whose tokens move along exactly with a shift by a whole token, and how far they drift between.

    ``drifts`` are those from no shift to one by a whole token, pixel by pixel, of each model by its name.
    """
    exact = [title for title, values in drifts.items() if values[-1] < EXACT]
    parts = [f"the tokens of {listed(exact)} move along exactly"] if exact else []
    parts += [f"the tokens of {title} drift by {_drift(values[-1])}" for title, values in drifts.items() if title not in exact]
    between = [f"{_drift(min(values[1:-1]))} ({title})" for title, values in drifts.items() if len(values) > 2]
    if between:
        parts.append(f"between, they drift by at least {listed(between)}")
    return f"With a shift by a whole token {'; '.join(parts)}."


def _drift(value: float) -> str:
    return decimal(value) if value < EXACT or value >= 0.005 else "under 0.01"
