"""Input times gradient (Shrikumar et al. 2016), under noise by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import captum_maps, method_outputs
from vizlib.explainers.parts.input_gradients import input_gradients

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of x d score / d x at each pixel of each prepared input (B, 3, h, w): the evidence to first order."""
    if options["smoothing"] == "none":
        gradients = input_gradients(model, x, resolve, options["gradient"])
        return gradients.targets, method_outputs((gradients.x.double() * gradients.slopes.double()).sum(1))
    from captum.attr import InputXGradient

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: InputXGradient(scorer.scores))
    return scorer.targets, method_outputs(maps.sum(1))
