"""Attention times its gradient in one layer (Chefer et al. 2021, its single-layer part), carried to the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.methods.attention.relevance import SILENT
from vizlib.explainers.methods.attention.rollout import stage_maps
from vizlib.explainers.parts.attention_walk import descend, differentiated
from vizlib.tracing.attention_gradients import pull_positive
from vizlib.tracing.token_flow import Flow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The read-out's row of mean_h relu(dL/dA_h * A_h) at one attention, on the pixels of each prepared input (B, 3, h, w).

    Every other attention passes its row on as it is, but for a read-out's own, which the row has to go through. What falls on learned
    tokens is not in the map, and nothing is scaled.
    """
    classifier = model.adapter.classifier(options["classifier"])
    forward, targets = differentiated(model, x, resolve, classifier, options["gradient"])
    lineage = forward.lineage().read_by(classifier)
    sites, layer = lineage.sites, options["layer"]
    if not -len(sites) <= layer < len(sites):
        raise MethodError(
            f"{model.card.name} has attentions 0 to {len(sites) - 1}, or -{len(sites)} to -1 from the output; there is no {layer}."
        )
    chosen = sites[layer]

    def attend(step: Attention, rows: torch.Tensor) -> Flow:
        if step.site is chosen:
            return Flow.start(step.land(pull_positive(step.site, step.split(rows))).rows)
        return Flow.start(rows) if step.skip else Flow.start(step.land(step.site.pull(step.split(rows))).rows)

    def parting(branch: Sequence[Attention]) -> tuple[float, float]:
        return (0.0, 1.0) if any(step.site is chosen for step in branch) else (1.0, 0.0)

    flows = descend(lineage.readout[:, None], lineage.steps, attend, parting)
    maps = flows[-1].rows[:, 0].unflatten(1, forward.size)
    coarse = stage_maps(flows, lineage.steps)
    warnings = model.adapter.warnings(forward.recording)
    outputs = [
        MethodOutput(pixel_map, None, warnings if bool(pixel_map.any()) else (*warnings, SILENT), tuple(stage[index] for stage in coarse))
        for index, pixel_map in enumerate(maps)
    ]
    return targets, outputs
