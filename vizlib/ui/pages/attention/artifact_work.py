"""The rollout of a pass with and without the tokens that stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.ui.pages.attention.pass_work import traced_pass
from vizlib.ui.widgets.explanation import pack_compared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.ui.pages.attention.pass_work import PassRequest


def compute_artifact_rollouts(
    request: PassRequest, odd: Mapping[tuple[int, int], Sequence[int]], model: Model, *, progress: Progress
) -> list[tuple[bytes, float]]:
    """The rollout and the one without the ``odd`` cells of each grid: packed for the browser, and the share of learned tokens."""
    from vizlib.analysis.attention.artifact_tokens import rollout_without
    from vizlib.analysis.attention.token_rollout import rollout

    progress(0, None, "Walking with and without them")
    traced = traced_pass(request, model)
    outputs = (rollout(model, traced.x), rollout_without(model, traced.x, odd))
    packed = pack_compared(request.picture, [output.input_map.cpu().numpy() for output in outputs], traced.geometry)
    return [(payload, output.sink or 0.0) for payload, output in zip(packed, outputs, strict=True)]
