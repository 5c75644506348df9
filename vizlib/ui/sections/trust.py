"""How far one map can be trusted: measured beside the page, and the badge that says it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.engine.progress import told_to
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.model_service import MEASURE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from vizlib import Explanation, Model, Score
    from vizlib.engine.jobs import Progress
    from vizlib.evaluation.badge import Badge
    from vizlib.evaluation.faithfulness import Curves, FaithfulnessScorer
    from vizlib.evaluation.sanity_checks import Check
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

COLOURS = {"passed": "green", "mixed": "orange", "failed": "red"}
QUICK = 100 * 100  # pixels of an input up to which a badge is measured unasked: some twenty seconds of one core
BADGES_VARIABLE = "VIZLIB_BADGES"  # "ask": never unasked


@dataclass(frozen=True, eq=False)
class Proof:
    """How far one map can be trusted; ``refused`` says what could not be measured, and why."""

    scores: dict[str, Score]
    checks: dict[str, Check]
    badge: Badge | None
    curves: Curves | None
    refused: tuple[str, ...]
    seconds: float

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return 8192 + sum(check.map.nbytes for check in self.checks.values())


def measure_proof(model: Model, picture: Picture, explanation: Explanation, scorer: FaithfulnessScorer) -> Proof:
    """The scores, the checks and the badge of one map."""
    from vizlib.evaluation.badge import badge
    from vizlib.evaluation.sanity_checks import sanity_checks

    began = time.perf_counter()
    scores = scorer.score(explanation)
    curves = scorer.curves(explanation)
    refused: tuple[str, ...] = ()
    try:
        checks = sanity_checks(model, picture.pixels, explanation)
    except vizlib.MethodError as error:
        checks, refused = {}, (str(error),)
    verdict = badge(scores, checks) if checks else None
    return Proof(scores, checks, verdict, curves, refused, time.perf_counter() - began)


def draw_trust(slot: str, key: Hashable, model: ModelChoice, picture: Picture, explanation: Explanation) -> None:
    """The badge of a map, measured unasked where that is quick; else the button that has it measured, or how far that is."""
    wanted: set[Hashable] = st.session_state.setdefault("trust.wanted", set())
    height, width = explanation.input_map.shape
    unasked = height * width <= QUICK and os.environ.get(BADGES_VARIABLE) != "ask"
    if not unasked and key not in wanted:
        job_slots.drop(slot)
        st.button(
            "How far can this map be trusted?", key=f"{slot}.measure", icon=":material/verified:", type="tertiary",
            on_click=wanted.add, args=(key,), help="Thousands of passes through the model: seconds for a small one, minutes for others.",
        )  # fmt: skip
        return
    proof = computations.compute_or_status(slot, key, [model], partial(compute_proof, picture, explanation), lane=MEASURE, patience=0.0)
    if proof is not None and proof.badge is not None:
        st.markdown(badge_line(proof.badge))
    for text in proof.refused if proof is not None else ():
        st.caption(formatting.plain(text))


def compute_proof(picture: Picture, explanation: Explanation, model: Model, progress: Progress) -> Proof:
    """What ``measure_proof`` gives, for a map that nothing else is measured of."""
    from vizlib.evaluation.faithfulness import FaithfulnessScorer

    progress(0, None, "Measuring how far the map can be trusted")
    with told_to(progress):
        return measure_proof(model, picture, explanation, FaithfulnessScorer(model, picture.pixels, explanation.target, explanation.fit))


def badge_line(badge: Badge) -> str:
    """The verdict, how many tests it stands on, and what that means."""
    return f":{COLOURS[badge.verdict]}-badge[{badge.passed} of {badge.tests} tests passed] {formatting.plain(badge.words)}"
