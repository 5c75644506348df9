"""LeGrad (Bousselham et al. 2025): how each block's own answer would rise if a place were attended to more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.methods.attention.relevance import SILENT
from vizlib.explainers.methods.attention.rollout import stage_maps
from vizlib.explainers.parts.attention_walk import descend, total_score
from vizlib.explainers.parts.layer_answers import answer_to
from vizlib.passes.backward import detached, gradients, gradients_on, in_sight, run_live
from vizlib.passes.forward import recorded
from vizlib.passes.gradient_rules import gradient_rule, module_for
from vizlib.tracing.attention_gradients import mean_positive_slopes
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.branched_flow import Branched
from vizlib.tracing.recorder import Recording, record
from vizlib.tracing.token_flow import Attention, Flow, ToSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.passes.forward import Pass
    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.tracing.token_flow import Step
    from vizlib.zoo.adapters.base import Classifier
    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class _Reading:
    """A live pass, the target of each image, and what was asked of the blocks."""

    model: Model
    live: Pass
    targets: list[Target]
    layers: int
    pooling: str
    rule: str

    def chosen(self, blocks: int) -> range:
        """The numbers of the blocks that count."""
        if self.layers > blocks:
            raise MethodError(f"{self.model.card.name} has {blocks} blocks, so layers is at most that, not {self.layers}.")
        return range(blocks)[-self.layers :]


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The mean over blocks l, heads h and query rows i of relu(d s_l / d A_l[h, i, j]) for key j, on the pixels of each input (B, 3, h, w).

    s_l is the target's score when the final norm and the head read block l's tokens: their mean as in the paper, or the model's own
    read-out; of a traced network the head is all that comes after its last block. Where the head attends, by a pool or class attention,
    A_l are its attentions over block l's tokens. Outside a row's window A_l is 0, and where heads are mixed A_l is what meets the values.
    Learned tokens are left out, a cell's value is shared evenly by its pixels, and nothing is scaled.
    """
    classifier = model.adapter.classifier(options["classifier"])
    states = model.adapter.layer_states((int(x.shape[2]), int(x.shape[3])))
    with gradients_on():
        live = run_live(model, x, keep_states=states is None, layers=() if states is None else states.paths, rule=options["gradient"])
        targets = resolve(live.logits.detach())
        reading = _Reading(model, live, targets, options["layers"], options["pooling"], options["gradient"])
        keys, below = _declared_keys(reading, classifier) if states is None else _traced_keys(reading, states)
    flows = descend(keys[:, None], below, lambda _, rows: Flow.start(rows), lambda _: (0.5, 0.5))
    maps = flows[-1].rows[:, 0].unflatten(1, live.size)
    coarse = stage_maps(flows, below)
    outputs = [
        MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (SILENT,), tuple(stage[index] for stage in coarse))
        for index, pixel_map in enumerate(maps)
    ]
    return targets, outputs


def _declared_keys(reading: _Reading, classifier: Classifier | None) -> tuple[torch.Tensor, list[Step]]:
    """The mean over blocks for each token (B, N) and the steps from there to the pixels, the head's own parts read."""
    model, live = reading.model, reading.live
    lineage = detached(live).lineage()
    sites = lineage.sites
    pooled = any(isinstance(step, Attention) and not step.skip for step in lineage.steps)
    blocks = list(zip(sites, live.recording.calls, strict=True))[: len(sites) - pooled]
    module = module_for(model.resting(), reading.rule)
    per_block = []
    for number in reading.chosen(len(blocks)):
        site, call = blocks[number]
        tokens = live.states[site.name.rpartition(".")[0]]
        with gradient_rule(reading.rule):
            answer = record(partial(model.adapter.layer_logits, module, tokens, reading.pooling, classifier), keep_values=True)
        at, attention_call = (sites[-1], answer.calls[-1]) if pooled else (site, call)
        assert answer.output is not None  # noqa: S101  record() always sets it
        slope = gradients(model, total_score(reading.targets, answer.output), [attention_call.output], keep_graph=True)[0]
        attention_call = replace(attention_call.detached(), gradient=slope)
        per_block.append(mean_positive_slopes(AttentionSite.of(attention_call, at.name, at.stage, at.block, at.query_grid, at.key_grid)))
    return torch.stack(per_block).mean(0), [step for step in lineage.steps if not isinstance(step, Attention)]


def _traced_keys(reading: _Reading, states: LayerStates) -> tuple[torch.Tensor, list[Step]]:
    """The mean over blocks for each cell (B, h w) and the steps from there to the pixels, the network's own code run as the head."""
    model, live, blocks = reading.model, reading.live, len(states.paths)
    in_sight(model, [call.output for call in live.recording.calls])
    per_block, seen = [], detached(live)
    lineage = seen.lineage()
    for number in reading.chosen(blocks):
        state = live.states[states.paths[number]]
        if states.read_outs:
            tokens = state.detach().requires_grad_()
            answer = recorded(model, live.x, partial(answer_to, model, live.x, tokens, states, live.states, reading.rule), keep_values=True)
            score, calls = answer.output, answer.calls
            asked = range(blocks, len(calls))
        else:
            tokens = states.mean(state) if reading.pooling == "mean" else state
            score, calls = answer_to(model, live.x, tokens, states, live.states, reading.rule), live.recording.calls
            asked = range(number, number + 1)
        assert score is not None  # noqa: S101  recorded() always sets it
        slopes = gradients(model, total_score(reading.targets, score), [calls[index].output for index in asked], keep_graph=True)
        kept = [call.detached() for call in calls]
        for index, slope in zip(asked, slopes, strict=True):
            kept[index] = replace(kept[index], gradient=slope)
        attentions = _attentions(replace(seen, recording=Recording(kept, output=score.detach())).lineage().steps)
        rows = [_on_tokens(attentions[index])[..., states.cells[index].to(score.device)] for index in asked]
        per_block.append(torch.stack(rows).mean(0))
    return torch.stack(per_block).mean(0), _below(lineage.steps)


def _attentions(steps: Sequence[Step]) -> dict[int, Attention]:
    """The attentions by their number in the order of execution."""
    inside = [attention for step in steps if isinstance(step, Branched) for attention in step.attentions]
    return {step.site.block: step for step in (*inside, *(step for step in steps if isinstance(step, Attention)))}


def _on_tokens(attention: Attention) -> torch.Tensor:
    """The mean of relu(dL/dA) over heads and all query rows, on the tokens that the keys are made from: (B, N)."""
    site, layout = attention.site, attention.layout
    means = mean_positive_slopes(site)
    if layout is not None:  # a row of a window has the whole grid's keys, and those outside of it by weights of 0
        means = means * (site.q.shape[2] / int((layout.places >= 0).sum()))
    return attention.land(means[:, None]).rows[:, 0]


def _below(steps: Sequence[Step]) -> list[Step]:
    """The steps below the lowest attention, from cells on: learned tokens are gone."""
    lowest = max(
        index for index, step in enumerate(steps) if isinstance(step, Attention) or (isinstance(step, Branched) and step.attentions)
    )
    return [step for step in steps[lowest + 1 :] if not isinstance(step, ToSink)]
