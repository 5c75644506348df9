"""Guided Grad-CAM (Selvaraju et al. 2017) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import captum_maps, method_outputs
from vizlib.explainers.parts.guided_relu import hookable

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Guided backpropagation times Grad-CAM of the last feature map, bilinear on the input, summed over colours, (B, 3, h, w)."""
    from captum.attr import GuidedGradCam

    def method(scorer: TargetScorer) -> GuidedGradCam:
        module = hookable(scorer)
        return GuidedGradCam(module, dict(scorer.copied.named_modules())[model.adapter.feature_layer()])

    scorer, maps = captum_maps(model, x, resolve, options, method, lambda _: {"interpolate_mode": "bilinear"})
    return scorer.targets, method_outputs(maps.sum(1))
