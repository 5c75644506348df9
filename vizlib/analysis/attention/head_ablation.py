"""What a model's answer and its map lose when parts of its attention are switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vizlib.explainers.methods.attention.rollout import pixel_outputs
from vizlib.passes.ablation import HeadAblation
from vizlib.passes.forward import run
from vizlib.passes.head_ablation import ablated, overrides
from vizlib.tracing.attention_overrides import AttentionOverride
from vizlib.tracing.token_flow import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.passes.forward import Pass
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model

__all__ = ["AblationOutcome", "HeadAblation", "compare_ablation"]


@dataclass(frozen=True, eq=False)
class AblationOutcome:
    """Logits (K,) and rollout before and after; ``moved`` is the share of the map, learned tokens included, that went elsewhere."""

    before: torch.Tensor
    after: torch.Tensor
    map_before: MethodOutput
    map_after: MethodOutput
    moved: float


def compare_ablation(model: Model, x: torch.Tensor, ablation: HeadAblation, residual_weight: float = 0.5) -> AblationOutcome:
    """One prepared input (1, 3, h, w) through the model as it is and after the ablation, with the rollout of both.

    Heads that are switched off carry nothing in the second rollout; the others share what is left evenly, and an attention without any
    passes everything on. MethodError where the model's attention cannot be read or changed.
    """
    before = run(model, x)
    sites = before.lineage().sites
    with ablated(sites, ablation):
        after = run(model, x)
    changed = {sites[number].name: edit for number, edit in overrides(sites, ablation).items()}
    whole, rest = _rollout(before, {}, residual_weight), _rollout(after, changed, residual_weight)
    moved = float((whole.input_map - rest.input_map).abs().sum()) + abs((whole.sink or 0.0) - (rest.sink or 0.0))
    return AblationOutcome(before.logits[0], after.logits[0], whole, rest, moved / 2)


@dataclass(frozen=True)
class _Remaining:
    """A rollout in which heads that are switched off carry nothing."""

    residual_weight: float
    overrides: Mapping[str, AttentionOverride]
    even: bool = False

    def _alive(self, site: AttentionSite) -> list[int]:
        edit = self.overrides.get(site.name, AttentionOverride())
        return [head for head in range(site.heads) if edit.heads.get(head, "uniform") == "uniform"]

    def residual(self, step: Attention) -> float:
        return self.residual_weight if self._alive(step.site) else 1.0

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        alive = self._alive(step.site)
        if len(alive) == step.site.heads:
            return step.site.pull(rows)
        return step.site.pull(rows, lambda weights: weights[:, alive].mean(1))


def _rollout(forward_pass: Pass, changed: Mapping[str, AttentionOverride], residual_weight: float) -> MethodOutput:
    lineage = forward_pass.lineage()
    flow = walk(lineage.readout[:, None], lineage.steps, _Remaining(residual_weight, changed))[-1]
    return replace(pixel_outputs(flow, forward_pass.size)[0], notes=())
