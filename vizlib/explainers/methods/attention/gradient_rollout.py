"""Gradient attention rollout (Gildenblat 2020), as a distribution that ends on the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.methods.attention.rollout import findings, stages
from vizlib.explainers.parts.attention_walk import descend, differentiated
from vizlib.tracing.attention_gradients import pull_stochastic
from vizlib.tracing.token_flow import Flow

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """A rollout with T = w I + (1 - w) A', A' the rows of relu(mean_h dL/dA_h * A_h) scaled to sum to 1, for each input (B, 3, h, w).

    L is the target's score and w the residual's share. Where no weight of a row speaks for the target, the row of A' is the identity's;
    at an attention without a residual around it, which is a read-out's own, it is the row of A. Pixels and sink sum to 1.
    """
    classifier = model.adapter.classifier(options["classifier"])
    done, targets = differentiated(model, x, settle, classifier)
    lineage = done.lineage().read_by(classifier)
    kept: float = options["residual_weight"]
    held: dict[str, torch.Tensor] = {}

    def attend(step: Attention, rows: torch.Tensor) -> Flow:
        if not step.skip:
            moved, silent = pull_stochastic(step.site, step.split(rows))
            return step.land(moved + step.site.pull(silent))
        if kept == 1:
            return Flow.start(rows)
        moved, by_site = pull_stochastic(step.site, step.split(rows * (1 - kept)))
        landed, silent = step.land(moved), step.unite(by_site)
        held[step.site.name] = (silent.sum(-1) > 0.5 * (1 - kept) * rows.sum(-1))[:, 0]
        return Flow(landed.rows + silent + rows * kept, landed.sink)

    flows = descend(lineage.readout[:, None], lineage.steps, attend)
    found = findings(flows[-1], done.size, model.adapter.warnings(done.recording), stages(flows, lineage.steps))
    return targets, [replace(one, notes=one.notes + _where_it_stood(held, index)) for index, one in enumerate(found)]


def _where_it_stood(held: dict[str, torch.Tensor], image: int) -> tuple[str, ...]:
    names = [name for name, most in held.items() if bool(most[image])]
    return (f"Most of the walk stays where it is at {', '.join(names)}: no weight there speaks for the target.",) if names else ()
