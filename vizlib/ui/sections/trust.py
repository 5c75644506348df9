"""How far one map can be trusted: measured beside the page, and the badge that says it."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.engine.limits import limits
from vizlib.engine.work_order import Lane
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.model_service import service
from vizlib.ui.sections.proof import compute_proof

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from vizlib import Explanation
    from vizlib.evaluation.badge import Badge
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

COLOURS = {"passed": "green", "mixed": "orange", "failed": "red"}
PASSES = 2500  # images that a badge sends through the model, and about so many more for each pass of the method
MAPS = 17
QUICK = 8e14  # pixels of an input times parameters times passes, up to which badges are measured unasked: about a minute of one core
BADGES_VARIABLE = "VIZLIB_BADGES"  # "ask": never unasked


def draw_trust(slot: str, key: Hashable, model: ModelChoice, picture: Picture, explanation: Explanation) -> None:
    """The badge of a map, measured unasked where that is quick and no crowd is there; else the button for it, or how far it is."""
    wanted: set[Hashable] = st.session_state.setdefault("trust.wanted", set())
    unasked = measured_unasked(model, explanation.input_map.size, [explanation.method])
    if not unasked and key not in wanted and not computations.begun(slot, key, [model]):
        job_slots.drop(slot)
        st.button(
            "How far can this map be trusted?", key=f"{slot}.measure", icon=":material/verified:", type="tertiary",
            on_click=here(wanted.add), args=(key,),
            help="Thousands of passes through the model: seconds for a small one, minutes for others.",
        )  # fmt: skip
        return
    lane = Lane.HEAVY if key in wanted else Lane.UNASKED
    proof = computations.compute_or_status(slot, key, [model], partial(compute_proof, picture, explanation), lane=lane, patience=0.0)
    if proof is not None and proof.badge is not None:
        st.markdown(badge_line(proof.badge))
    for text in proof.refused if proof is not None else ():
        st.caption(formatting.plain(text))


def measured_unasked(model: ModelChoice, pixels: int, methods: Sequence[str], *, sought: bool = False) -> bool:
    """Whether badges of maps by these methods, of an input of so many ``pixels``, are measured before anybody asks: one rule for all pages.

    They are where that is quick, no crowd is there and the operator did not switch it off. A page that is ``sought`` for its badges
    measures those of bundled models in any case.
    """
    if sought and model.card is not None and model.card.source == "bundled":
        return True
    return _effort(model, pixels, methods) <= QUICK and os.environ.get(BADGES_VARIABLE) != "ask" and not _crowded()


def _crowded() -> bool:
    """Whether so many visitors are there that a badge for every new map would hold up what they ask for."""
    return service().dispatcher.visitors > limits().unasked_visitors


def _effort(model: ModelChoice, pixels: int, methods: Sequence[str]) -> float:
    """About what badges take: the product that ``QUICK`` limits; endless for a model whose parameters nobody knows."""
    if model.card is None or not model.card.parameters:
        return math.inf
    return float(pixels * model.card.parameters) * sum(PASSES + MAPS * METHODS[method].passes for method in methods)


def badge_line(badge: Badge) -> str:
    """The verdict, how many tests it stands on, and what that means."""
    return f":{COLOURS[badge.verdict]}-badge[{badge.passed} of {badge.tests} tests passed] {formatting.plain(badge.words)}"
