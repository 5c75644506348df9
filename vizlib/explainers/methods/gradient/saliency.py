"""Saliency (Simonyan et al. 2014), under noise by captum."""

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
    """max over colours of |d score / d x| at each pixel of each prepared input (B, 3, h, w)."""
    if options["smoothing"] == "none":
        gradients = input_gradients(model, x, resolve, options["gradient"])
        return gradients.targets, method_outputs(gradients.slopes.double().abs().amax(1))
    from captum.attr import Saliency

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: Saliency(scorer.scores))
    return scorer.targets, method_outputs(maps.amax(1))
