"""Guided backpropagation (Springenberg et al. 2015) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import captum_maps, method_outputs
from vizlib.explainers.parts.guided_relu import hookable

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of d score / d x where no ReLU lets a negative gradient pass, for each prepared input (B, 3, h, w)."""
    from captum.attr import GuidedBackprop

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: GuidedBackprop(hookable(scorer)))
    return scorer.targets, method_outputs(maps.sum(1))
