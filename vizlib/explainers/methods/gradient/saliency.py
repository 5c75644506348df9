"""Saliency (Simonyan et al. 2014) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import findings, maps_by

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import Finding
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[Finding]]:
    """max over colours of |d score / d x| at each pixel of each prepared input (B, 3, h, w)."""
    from captum.attr import Saliency

    asked, maps = maps_by(model, x, settle, options, lambda one: Saliency(one.scores))
    return asked.targets, findings(maps.amax(1))
