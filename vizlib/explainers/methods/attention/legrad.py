"""LeGrad (Bousselham et al. 2025): how each block's own answer would rise if a place were attended to more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.methods.attention.relevance import SILENT
from vizlib.explainers.methods.attention.rollout import stage_maps
from vizlib.explainers.parts.attention_walk import descend, total_score
from vizlib.passes.backward import detached, gradients, gradients_on, run_live
from vizlib.tracing.attention_gradients import mean_positive_slopes
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.recorder import record
from vizlib.tracing.token_flow import Attention, Flow

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The mean over blocks l, heads h and query rows i of relu(d s_l / d A_l[h, i, j]) for key j, on the pixels of each input (B, 3, h, w).

    s_l is the target's score when the final norm and the head read block l's tokens: their mean as in the paper, or the model's own
    read-out. Where that is an attention pool, A_l is the pool's attention over block l's tokens. Learned tokens are left out, a cell's
    value is shared evenly by its pixels, and nothing is scaled.
    """
    classifier = model.adapter.classifier(options["classifier"])
    with gradients_on():
        live = run_live(model, x, keep_states=True)
        targets = resolve(live.logits.detach())
        forward = detached(live)
        lineage = forward.lineage()
        sites = lineage.sites
        pooled = any(isinstance(step, Attention) and not step.skip for step in lineage.steps)
        blocks = list(zip(sites, live.recording.calls, strict=True))[: len(sites) - pooled]
        if options["layers"] > len(blocks):
            raise MethodError(f"{model.card.name} has {len(blocks)} blocks, so layers is at most that, not {options['layers']}.")
        module = model.resting()
        per_block = []
        for site, call in blocks[-options["layers"] :]:
            tokens = live.states[site.name.rpartition(".")[0]]
            reading = record(partial(model.adapter.layer_logits, module, tokens, options["pooling"], classifier), keep_values=True)
            at, attention_call = (sites[-1], reading.calls[-1]) if pooled else (site, call)
            assert reading.output is not None  # noqa: S101  record() always sets it
            slope = gradients(model, total_score(targets, reading.output), [attention_call.output], keep_graph=True)[0]
            attention_call = replace(attention_call.detached(), gradient=slope)
            per_block.append(
                mean_positive_slopes(AttentionSite.of(attention_call, at.name, at.stage, at.block, at.query_grid, at.key_grid))
            )
    keys = torch.stack(per_block).mean(0)
    below = [step for step in lineage.steps if not isinstance(step, Attention)]
    flows = descend(keys[:, None], below, lambda _, rows: Flow.start(rows), lambda _: (0.5, 0.5))
    maps = flows[-1].rows[:, 0].unflatten(1, forward.size)
    coarse = stage_maps(flows, below)
    outputs = [
        MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (SILENT,), tuple(stage[index] for stage in coarse))
        for index, pixel_map in enumerate(maps)
    ]
    return targets, outputs
