"""Saliency (Simonyan et al. 2014) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import maps_by, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """max over colours of |d score / d x| at each pixel of each prepared input (B, 3, h, w)."""
    from captum.attr import Saliency

    asked, maps = maps_by(model, x, settle, options, lambda one: Saliency(one.scores))
    return asked.targets, method_outputs(maps.amax(1))
