"""Guided Grad-CAM (Selvaraju et al. 2017) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import maps_by, method_outputs
from vizlib.explainers.parts.guided_relu import hookable

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Guided backpropagation times Grad-CAM of the last feature map, bilinear on the input, summed over colours, (B, 3, h, w)."""
    from captum.attr import GuidedGradCam

    def method(asked: TargetScorer) -> GuidedGradCam:
        module = hookable(asked)
        return GuidedGradCam(module, dict(asked.copied.named_modules())[model.adapter.feature_layer()])

    asked, maps = maps_by(model, x, settle, options, method, lambda _: {"interpolate_mode": "bilinear"})
    return asked.targets, method_outputs(maps.sum(1))
