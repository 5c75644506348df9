"""What the Compact Transformers paper claims, put to the test on the page's picture."""

from __future__ import annotations

from vizlib.claims import Claim, verdict_above

LEAST = 0.03
"""The smallest difference of drifts that counts on one picture."""


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
