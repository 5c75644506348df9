"""Input times gradient (Shrikumar et al. 2016) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import maps_by, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of x d score / d x at each pixel of each prepared input (B, 3, h, w): the evidence to first order."""
    from captum.attr import InputXGradient

    asked, maps = maps_by(model, x, settle, options, lambda one: InputXGradient(one.scores))
    return asked.targets, method_outputs(maps.sum(1))
