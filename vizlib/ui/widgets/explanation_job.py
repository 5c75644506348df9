"""The job that explains what a model says of a picture."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vizlib.ui.core import computations
from vizlib.ui.widgets.explanation import compute_answer

if TYPE_CHECKING:
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.widgets.explanation import Answer, ExplanationRequest


def submit_explanation(slot: str, model: ModelChoice, request: ExplanationRequest, picture: Picture) -> Job[Answer] | None:
    """The job that explains; None where the model's weights would have to be fetched first."""
    lane = computations.lane_of(request.method, dict(request.options))
    return computations.compute(slot, request, [model], partial(compute_answer, request, picture), lane=lane)
