"""The heads of a pass: all of them in numbers, and the answer and the map without some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.ui.pages.attention.pass_work import traced_pass
from vizlib.ui.widgets.explanation import pack_compared

if TYPE_CHECKING:
    import numpy as np

    from vizlib import Model, Prediction
    from vizlib.engine.jobs import Progress
    from vizlib.passes.ablation import HeadAblation
    from vizlib.ui.pages.attention.pass_work import PassRequest


@dataclass(frozen=True, eq=False)
class AblationResult:
    """What an ablation did, ready to be drawn; pairs are before and after."""

    before: list[Prediction]
    after: list[Prediction]
    maps: tuple[bytes, bytes]
    sinks: tuple[float, float]
    moved: float


def compute_head_statistics(request: PassRequest, model: Model, *, progress: Progress) -> dict[str, tuple[str, np.ndarray]]:
    """By measure what it says, and its table (layers, heads)."""
    from vizlib.analysis.attention.head_statistics import MEASURES, head_statistics, matrix

    traced = traced_pass(request, model)
    rows = []
    for index, site in enumerate(traced.view.sites):
        progress(index, len(traced.view.sites), "Measuring the heads")
        rows.append(head_statistics(site, traced.geometry.input_size))
    return {measure: (note, matrix(rows, measure)) for measure, note in MEASURES.items()}


def compute_ablation(request: PassRequest, ablation: HeadAblation, model: Model, *, progress: Progress) -> AblationResult:
    """The answer and the rollout as they are, and with what is switched off."""
    from vizlib.analysis.attention.head_ablation import compare_ablation
    from vizlib.explainers.api import ranked

    progress(0, None, "Running the model without them")
    traced = traced_pass(request, model)
    outcome = compare_ablation(model, traced.x, ablation)
    before, after = (
        ranked(model, logits.float().cpu(), model.adapter.classes) if model.adapter.classes else []
        for logits in (outcome.before, outcome.after)
    )
    maps = [output.input_map.cpu().numpy() for output in (outcome.map_before, outcome.map_after)]
    first, second = pack_compared(request.picture, maps, traced.geometry)
    sinks = (outcome.map_before.sink or 0.0, outcome.map_after.sink or 0.0)
    return AblationResult(before, after, (first, second), sinks, outcome.moved)
