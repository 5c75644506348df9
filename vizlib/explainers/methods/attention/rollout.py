"""Attention rollout to the pixels (Abnar and Zuidema 2020), for any model whose steps are known, in memory linear in its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.artifact_tokens import (
    Without,
    artifact_note,
    norm_artifacts,
    share_artifacts,
    start_without,
    united,
)
from vizlib.explainers.parts.head_fusion import fuser
from vizlib.explainers.parts.key_weights import value_lengths
from vizlib.passes.forward import run_measured, traces
from vizlib.tracing.token_flow import FromCells, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.explainers.parts.artifact_tokens import Shape
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.token_flow import Attention, Flow, Step
    from vizlib.zoo.adapters import Lineage
    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class RolloutRule:
    """One residual weight, or measured ones (B, N) by the names of the sites, and one way to fuse heads, at every attention.

    ``by_value``: keys weigh by the length of their values too.
    """

    residual_weight: float | Mapping[str, torch.Tensor]
    fuse: Callable[[torch.Tensor], torch.Tensor] | None
    by_value: bool = False
    even: bool = False

    def residual(self, step: Attention) -> float | torch.Tensor:
        """The residual's share at a step's attention, 0 to 1: a number, or each token's own (B, 1, N)."""
        return residual_share(step, self.residual_weight)

    def attend(self, step: Attention, rows: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """Row vectors (B, R, queries) pulled through a step's attention, its heads fused, without ``hidden`` keys: (B, R, keys)."""
        return step.site.pull(rows, self.fuse, hidden, value_lengths(step.site) if self.by_value else None)


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The rollout of each prepared input (B, 3, h, w): r = g T_L ... T_1, T = w I + (1 - w) A at an attention, windows between grids.

    g is the read-out's row, or one token's. Attention is read from q and k in row blocks; only the row vector is carried. Pixels and
    sink sum to 1. w is a number, or each token's own share in this pass. The prior is the same walk with every attention and routing
    even; the lift is the rollout over the prior. By ``key_weights`` each head's weights are multiplied by the length of their key's value
    first. Artifact tokens are said in a note, and left out where ``artifact_tokens`` asks for it; else out of what pictures show alone.
    """
    classifier = model.adapter.classifier(options["classifier"])
    measured = options["residual_weight"] == "norms"
    by_value = options["key_weights"] == "value_norm"
    forward = run_measured(model, x, shares=measured, windows=options["windows"], keep_values=by_value)
    rows, steps = walk_start(forward.lineage(options["windows"]).read_by(classifier), options["token"])
    weight = forward.recording.residual_shares if measured else options["residual_weight"]
    rule = RolloutRule(weight, fuser(options["head_fusion"], options["discard_ratio"]), by_value)
    prior = Prior(weight)
    if options["show"] == "prior":
        flows = walk(rows, steps, prior)
        outputs = pixel_outputs(flows[-1], forward.size, model.adapter.warnings(forward.recording), stage_maps(flows, steps))
        return resolve(forward.logits), outputs
    flows = walk(rows, steps, rule)
    odd = _artifacts(model, x, flows, steps, options["artifact_tokens"])
    without = walk(start_without(rows, steps, odd), steps, Without(rule, odd)) if odd else flows
    left_out = options["artifact_tokens"] != "kept"
    taken = without if left_out else flows
    outputs = pixel_outputs(taken[-1], forward.size, model.adapter.warnings(forward.recording), stage_maps(taken, steps))
    if odd:
        where = "left out here" if left_out else "pictures leave it out, arrays keep it"
        notes = [artifact_note(flows, steps, odd, index, where) for index in range(len(outputs))]
        drawn = without[-1].rows[:, 0].unflatten(1, forward.size)
        shown = [drawn[index] if note and not left_out and options["show"] == "rollout" else None for index, note in enumerate(notes)]
        stages = stage_maps(without, steps)
        outputs = [
            replace(
                output,
                notes=(*output.notes, *filter(None, [note])),
                drawn=picture,
                drawn_stages=() if picture is None else tuple(stage[index] for stage in stages),
            )
            for index, (output, note, picture) in enumerate(zip(outputs, notes, shown, strict=True))
        ]
    if options["show"] == "lift":
        outputs = [
            lift_over_prior(output, prior_output)
            for output, prior_output in zip(outputs, pixel_outputs(walk(rows, steps, prior)[-1], forward.size), strict=True)
        ]
    return resolve(forward.logits), outputs


def _artifacts(model: Model, x: torch.Tensor, flows: Sequence[Flow], steps: Sequence[Step], by: str) -> dict[Shape, torch.Tensor]:
    """The artifact tokens by grid, found by their share of the walk unless the option asks for norms, which take one more pass."""
    shares = {} if by == "norm" else share_artifacts(flows, steps)
    return united(shares, norm_artifacts(traces(model, x)) if by in ("norm", "both") else {})


@dataclass(frozen=True)
class Prior:
    """What the architecture alone would give: even attention over all keys that no mask forbids, even routing."""

    residual_weight: float | Mapping[str, torch.Tensor]
    even: bool = True

    def residual(self, step: Attention) -> float | torch.Tensor:
        """The residual's share at a step's attention, 0 to 1: a number, or each token's own (B, 1, N)."""
        return residual_share(step, self.residual_weight)

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, queries) shared evenly by the keys that no mask forbids: (B, R, keys)."""
        return step.site.pull_uniform(rows)


def residual_share(step: Attention, weight: float | Mapping[str, torch.Tensor]) -> float | torch.Tensor:
    """The residual's share at an attention: the one number, or the measured share of each token, (B, 1, N).

    MethodError where the pass did not measure the residual of these very tokens.
    """
    if not isinstance(weight, Mapping):
        return weight
    share = weight.get(step.site.name)
    if share is None or share.shape[1] != step.target.tokens:
        raise MethodError(f"The residual around {step.site.name} was not measured in this pass; give residual_weight as a number.")
    return share[:, None]


def walk_start(lineage: Lineage, token: int) -> tuple[torch.Tensor, list[Step]]:
    """Where a walk begins: the read-out's row (B, 1, tokens) at the top, or one token of the last grid, learned tokens counted first.

    MethodError for a token that the grid does not have.
    """
    if token < 0:
        return lineage.readout[:, None], lineage.steps
    below = next(index for index, step in enumerate(lineage.steps) if not isinstance(step, FromCells) and getattr(step, "skip", True))
    grid = lineage.steps[below].target
    if token >= grid.tokens:
        raise MethodError(f"The last grid has tokens 0 to {grid.tokens - 1} ({grid}); there is no {token}.")
    rows = lineage.readout.new_zeros(len(lineage.readout), 1, grid.tokens, dtype=torch.float64)
    rows[:, :, token] = 1
    return rows, lineage.steps[below:]


def stage_maps(flows: Sequence[Flow], steps: Sequence[Step]) -> list[torch.Tensor]:
    """The same walk on each grid that it leaves, coarse to fine: (B, h, w) float64, learned tokens left out."""
    left = [(flow, step) for flow, step in zip(flows, steps, strict=False) if step.source.shape != step.target.shape and step.target.cells]
    return [flow.rows[:, 0, step.target.prefix :].unflatten(1, step.target.shape) for flow, step in left]


def pixel_outputs(
    flow: Flow, size: tuple[int, int], warnings: tuple[str, ...] = (), coarse: Sequence[torch.Tensor] = ()
) -> list[MethodOutput]:
    """The pixel maps of a flow that has come down to the pixels of inputs (h, w), one for each image."""
    maps = flow.rows[:, 0].unflatten(1, size)
    sinks = flow.sink[:, 0].tolist()
    note = "Everything ended in learned tokens: the map is zero because no share of the answer came from a pixel along these steps."
    return [
        MethodOutput(maps[index], sink, (*warnings, *((note,) if sink >= 1 else ())), tuple(stage[index] for stage in coarse))
        for index, sink in enumerate(sinks)
    ]


def lift_over_prior(output: MethodOutput, prior: MethodOutput) -> MethodOutput:
    """A rollout over its prior: 1 is what the architecture alone gives; NaN at pixels that it cannot reach."""
    return replace(output, input_map=torch.where(prior.input_map > 0, output.input_map / prior.input_map, torch.nan))
