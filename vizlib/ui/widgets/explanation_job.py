"""The job that explains what a model says of a picture."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vizlib.engine.work_order import Lane
from vizlib.ui.core import computations
from vizlib.ui.widgets.explanation import compute_answer, compute_ranking

if TYPE_CHECKING:
    from vizlib import Prediction
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.widgets.explanation import Answer, ExplanationRequest


def submit_explanation(
    slot: str, model: ModelChoice, request: ExplanationRequest, picture: Picture, like: Picture | None = None
) -> Job[Answer] | None:
    """The job that explains, where the request names one how the picture is ``like`` another.

    None where the model's weights would have to be fetched first.
    """
    lane = computations.lane_of(request.method, dict(request.options))
    other = None if request.like is None else like
    return computations.compute(slot, request, [model], partial(compute_answer, request, picture, like=other), lane=lane)


def submit_ranking(slot: str, model: ModelChoice, picture: Picture, fit: str | None) -> Job[list[Prediction]] | None:
    """The job of a model's answers alone, one pass: for a map that takes longer; None where its weights would have to be fetched first."""
    key = ("ranking", picture.identity, fit)
    return computations.compute(slot, key, [model], partial(compute_ranking, picture, fit), keep=False, lane=Lane.LIGHT)
