"""Gradient attention rollout (Gildenblat 2020), as a distribution that ends on the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.methods.attention.rollout import pixel_outputs, stage_maps
from vizlib.explainers.parts.attention_walk import descend, differentiated
from vizlib.explainers.parts.key_weights import head_shares
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import listed
from vizlib.tracing.attention_gradients import pull_stochastic
from vizlib.tracing.token_flow import Flow

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.branched_flow import Resampled
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """A rollout with T = w I + (1 - w) A', A' the rows of relu(mean_h dL/dA_h * A_h) scaled to sum to 1, for each input (B, 3, h, w).

    L is the target's score and w the residual's share. Where no weight of a row speaks for the target, the row of A' is the identity's:
    what a token reads of it stays at that token. At an attention without a residual that leads around it alone, as a read-out's own,
    it is the row of A. With ``head_weights`` A' is sum_h w_h A_h instead, w_h the share of head h in the norms of dL/dA_h (Jo et al.
    2025). Pixels and sink sum to 1.
    """
    classifier = model.adapter.classifier(options["classifier"])
    forward, targets = differentiated(model, x, resolve, classifier, options["gradient"])
    lineage = forward.lineage().read_by(classifier)
    residual_weight: float = options["residual_weight"]
    mostly_silent: dict[str, torch.Tensor] = {}

    def pull(site: AttentionSite, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if options["head_weights"] == "none":
            return pull_stochastic(site, rows)
        return site.pull(rows, key_weights=head_shares(site, len(x), options["head_weights"])), torch.zeros_like(rows)

    def attend(step: Attention, rows: torch.Tensor) -> Flow:
        if not step.skip:
            moved, silent = pull(step.site, step.split(rows))
            return step.land(moved + step.site.pull(silent))
        if residual_weight == 1:
            return Flow.start(rows)
        moved, by_site = pull(step.site, step.split(rows * (1 - residual_weight)))
        landed, silent = step.land(moved), step.unite(by_site)
        mostly_silent[step.site.name] = (silent.sum(-1) > 0.5 * (1 - residual_weight) * rows.sum(-1))[:, 0]
        return Flow(landed.rows + silent + rows * residual_weight, landed.sink)

    def around(step: Resampled, rows: torch.Tensor) -> Flow:
        if residual_weight == 1:
            return Flow.start(rows)
        branch = rows * (1 - residual_weight)
        queries = step.to_queries(branch)
        moved, by_site = pull(step.attention.site, step.attention.split(queries))
        landed, silent = step.attention.land(moved), step.attention.unite(by_site)
        staying = branch * step.of_queries((silent > 0).to(branch.dtype))
        mostly_silent[step.attention.site.name] = (staying.sum(-1) > 0.5 * branch.sum(-1))[:, 0]
        below = step.from_keys(landed.rows)
        lost = branch.sum(-1) - staying.sum(-1) - below.sum(-1)
        return Flow(below + staying + rows * residual_weight, lost)

    flows = descend(lineage.readout[:, None], lineage.steps, attend, lambda _: (residual_weight, 1 - residual_weight), around)
    outputs = pixel_outputs(flows[-1], forward.size, model.adapter.warnings(forward.recording), stage_maps(flows, lineage.steps))
    return targets, [replace(output, notes=output.notes + _silent_sites_note(mostly_silent, index)) for index, output in enumerate(outputs)]


def _silent_sites_note(mostly_silent: dict[str, torch.Tensor], image: int) -> tuple[str, ...]:
    names = [layer_title(name) for name, images in mostly_silent.items() if bool(images[image])]
    if not names:
        return ()
    return (
        f"Most of the walk stays where it is in {listed(names)}: no attention weight that it would follow there speaks for the target.",
    )
