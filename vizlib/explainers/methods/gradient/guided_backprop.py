"""Guided backpropagation (Springenberg et al. 2015) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import maps_by, method_outputs
from vizlib.explainers.parts.guided_relu import hookable

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of d score / d x where no ReLU lets a negative gradient pass, for each prepared input (B, 3, h, w)."""
    from captum.attr import GuidedBackprop

    asked, maps = maps_by(model, x, settle, options, lambda one: GuidedBackprop(hookable(one)))
    return asked.targets, method_outputs(maps.sum(1))
