"""Relevance by attention times gradient (Chefer, Gur and Wolf 2021), pulled from the read-out to the pixels as one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.methods.attention.rollout import stage_maps
from vizlib.explainers.parts.attention_walk import descend, differentiated
from vizlib.tracing.attention_gradients import pull_positive
from vizlib.tracing.token_flow import Flow

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model

SILENT = "No attention weight speaks for this target on the way from a pixel: the map is zero."


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """g R - g, R = (I + A'_L) ... (I + A'_1), A' = mean_h relu(dL/dA_h * A_h), for each prepared input (B, 3, h, w).

    L is the target's score and g the read-out's row. The paper leaves out the class token's own entry; so is what the read-out starts
    with here, which for a mean or a pooling lies on the cells and knows nothing of the target. What ends in learned tokens is not in
    the map, keys gathered from windows give their share back to them, and nothing is scaled: the map is no distribution.
    """
    classifier = model.adapter.classifier(options["classifier"])
    forward, targets = differentiated(model, x, resolve, classifier, options["gradient"])
    lineage = forward.lineage().read_by(classifier)

    def attend(step: Attention, rows: torch.Tensor) -> Flow:
        added, start = rows[:, :1], rows[:, 1:]
        moved = step.land(pull_positive(step.site, step.split(added + start))).rows
        if not step.skip:
            return Flow.start(torch.cat([moved, torch.zeros_like(moved)], 1))
        return Flow.start(torch.cat([added + moved, start], 1))

    readout = lineage.readout[:, None]
    flows = descend(torch.cat([torch.zeros_like(readout), readout], 1), lineage.steps, attend, lambda _: (1.0, 1.0))
    maps = flows[-1].rows[:, 0].unflatten(1, forward.size)
    coarse = stage_maps(flows, lineage.steps)
    warnings = model.adapter.warnings(forward.recording)
    outputs = [
        MethodOutput(pixel_map, None, warnings if bool(pixel_map.any()) else (*warnings, SILENT), tuple(stage[index] for stage in coarse))
        for index, pixel_map in enumerate(maps)
    ]
    return targets, outputs
