"""What says how far one map can be trusted: its scores, its checks and its badge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.progress import told_to
from vizlib.engine.worker_memory import remember

if TYPE_CHECKING:
    from typing import Any

    from vizlib import Explanation, Model, Score
    from vizlib.engine.jobs import Progress
    from vizlib.evaluation.badge import Badge
    from vizlib.evaluation.checks import Check
    from vizlib.evaluation.faithfulness import FaithfulnessScorer
    from vizlib.evaluation.measured import Curves
    from vizlib.ui.core.pictures import Picture


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


def measure_proof(model: Model, picture: Picture, explanation: Explanation, scorer: FaithfulnessScorer, *, curves: bool = True) -> Proof:
    """The scores, the checks and the badge of one map; its removal curves take about as long again."""
    from vizlib.evaluation.badge import badge
    from vizlib.evaluation.sanity_checks import sanity_checks

    began = time.perf_counter()
    scores = scorer.score(explanation)
    removal_curves = scorer.curves(explanation) if curves else None
    refused: tuple[str, ...] = ()
    try:
        checks = sanity_checks(model, picture.pixels, explanation)
    except vizlib.MethodError as error:
        checks, refused = {}, (str(error),)
    verdict = badge(scores, checks) if checks else None
    return Proof(scores, checks, verdict, removal_curves, refused, time.perf_counter() - began)


def compute_proof(picture: Picture, explanation: Explanation, model: Model, progress: Progress) -> Proof:
    """What ``measure_proof`` gives, for a map that nothing else is measured of."""
    from vizlib.evaluation.faithfulness import FaithfulnessScorer

    progress(0, None, "Measuring how far the map can be trusted")
    with told_to(progress):
        scorer = FaithfulnessScorer(model, picture.pixels, explanation.target, explanation.fit)
        return measure_proof(model, picture, explanation, scorer, curves=False)


def compute_shared_proof(
    explanation: Explanation, model: Model, *, identity: str, picture: Picture, fit: str | None, goal: Any, progress: Progress
) -> Proof:
    """What ``measure_proof`` gives, for one of several maps of one ``goal`` that are measured against the same control maps.

    ``identity`` is the model's; the control maps are made once in a process, with the first of the maps.
    """
    from vizlib.evaluation.faithfulness import FaithfulnessScorer

    progress(0, None, f"{METHODS[explanation.method].title}: measuring how far the map can be trusted")
    with told_to(progress):
        scorer = remember(
            (identity, "faithfulness", picture.identity, fit, goal),
            lambda: FaithfulnessScorer(model, picture.pixels, goal, fit),
            lambda scorer: scorer.nbytes,
        )
        return measure_proof(model, picture, explanation, scorer)
