"""Raw attention of one layer (Vaswani et al. 2017), carried to the pixels by the steps that are not attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.errors import MethodError
from vizlib.explainers.methods.attention.rollout import pixel_outputs
from vizlib.explainers.parts.head_fusion import fuser, one_head
from vizlib.passes.forward import run
from vizlib.tracing.token_flow import Attention, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class OneLayer:
    """All of a row goes through the chosen site, and past every other one with a residual."""

    site: AttentionSite
    fuse: Callable[[torch.Tensor], torch.Tensor] | None
    even: bool = False

    def residual(self, step: Attention) -> float:
        """The residual's share at a step: 0 at the chosen attention, 1 at every other."""
        return 0.0 if step.site is self.site else 1.0

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        """Row vectors (B, R, queries) pulled through a step's attention: (B, R, keys)."""
        return step.site.pull(rows, self.fuse if step.site is self.site else None)


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[Any]]:
    """The read-out's row of one attention for each prepared input (B, 3, h, w); what falls on learned tokens is the sink."""
    classifier = model.adapter.classifier(options["classifier"])
    forward = run(model, x)
    lineage = forward.lineage().read_by(classifier)
    sites = lineage.sites
    layer, head = options["layer"], options["head"]
    if not -len(sites) <= layer < len(sites):
        raise MethodError(
            f"{model.card.name} has attentions 0 to {len(sites) - 1}, or -{len(sites)} to -1 from the output; there is no {layer}."
        )
    site = sites[layer]
    if head >= site.heads:
        raise MethodError(f"{site.name} of {model.card.name} has heads 0 to {site.heads - 1}; there is no {head}.")
    rule = OneLayer(site, fuser(options["head_fusion"]) if head < 0 else one_head(head))
    return resolve(forward.logits), pixel_outputs(walk(lineage.readout[:, None], lineage.steps, rule)[-1], forward.size)
