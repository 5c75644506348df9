"""Saliency (Simonyan et al. 2014) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import captum_maps, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """max over colours of |d score / d x| at each pixel of each prepared input (B, 3, h, w)."""
    from captum.attr import Saliency

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: Saliency(scorer.scores))
    return scorer.targets, method_outputs(maps.amax(1))
