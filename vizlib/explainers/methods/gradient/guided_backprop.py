"""Guided backpropagation (Springenberg et al. 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.activation_rules import guided_scores
from vizlib.explainers.parts.gradient_maps import captum_maps, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of d score / d x where no ReLU lets a negative gradient pass, for each prepared input (B, 3, h, w).

    Every call of a ReLU counts, also of the function; captum's own GuidedBackprop changes only those that are parts. MethodError where
    some ReLU cannot be seen.
    """
    from captum.attr import Saliency

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: Saliency(guided_scores(scorer)), lambda _: {"abs": False})
    return scorer.targets, method_outputs(maps.sum(1))
