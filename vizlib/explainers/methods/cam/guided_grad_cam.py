"""Guided Grad-CAM (Selvaraju et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.methods.cam import grad_cam
from vizlib.explainers.methods.gradient import guided_backprop
from vizlib.explainers.parts.gradient_maps import method_outputs
from vizlib.explainers.parts.weighed_maps import cam_maps

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Guided backpropagation times Grad-CAM of the last feature map, bilinear on the input, summed over colours, (B, 3, h, w)."""
    targets, places = cam_maps(model, x, resolve, grad_cam.weigh)
    _, guided = guided_backprop.explain(model, x, lambda _: targets, {"smoothing": "none"} | options)
    return targets, method_outputs(places * torch.stack([output.input_map for output in guided]))
