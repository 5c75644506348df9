"""The card of a claim: what is claimed, what would be seen, what was measured here, and the verdict. The same on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.claims import Verdict
from vizlib.figures.numbers import counted
from vizlib.ui.core.formatting import linked, plain
from vizlib.ui.core.words import mark_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.claims import Claim

BADGES = {
    Verdict.SO: f":green-badge[:material/check: {Verdict.SO}]",
    Verdict.NOT_SO: f":orange-badge[:material/close: {Verdict.NOT_SO}]",
    Verdict.CANNOT_TELL: f":gray-badge[:material/remove: {Verdict.CANNOT_TELL}]",
}
OWN_CLAIM = "our own claim"


def draw_claim(claim: Claim, caption: str = "") -> None:
    """One card; ``caption`` says what its measurement does not cover."""
    with st.container(border=True):
        st.markdown(card_text(claim, mark_words))
        if caption:
            st.caption(caption)


def draw_claims(claims: Sequence[Claim], caption: str = "", most: int = 4) -> None:
    """Cards two by two; those after the first ``most`` are folded."""
    _draw_rows(claims[:most])
    rest = claims[most:]
    if rest:
        with st.expander(counted(len(rest), "more claim"), icon=":material/fact_check:"):
            _draw_rows(rest)
    if claims and caption:
        st.caption(caption)


def card_text(claim: Claim, mark: Callable[[str], str] = str) -> str:
    """A card in Markdown: a line each for the claim with its source, what would be seen, what was measured, and the verdict.

    ``mark`` makes words of the glossary in its sentences open where they stand.
    """
    source = "; ".join(map(linked, claim.sources)) or OWN_CLAIM
    return "  \n".join(
        (
            f"**Claimed:** {mark(plain(claim.statement))} :gray[({source})]",
            f"**Would be seen:** {mark(plain(claim.expected))}",
            f"**Measured here:** {mark(plain(claim.measured))}",
            *(() if claim.verdict is None else (BADGES[claim.verdict],)),
        )
    )


def _draw_rows(claims: Sequence[Claim]) -> None:
    if len(claims) == 1:
        draw_claim(claims[0])
        return
    for start in range(0, len(claims), 2):
        for column, claim in zip(st.columns(2, gap="medium"), claims[start : start + 2], strict=False):
            with column:
                draw_claim(claim)
