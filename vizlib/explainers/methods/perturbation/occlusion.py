"""Occlusion (Zeiler and Fergus 2014) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """How far the score falls when a square slides over each input (B, 3, h, w): at a pixel the mean over the squares that hid it.

    ``window`` and ``stride`` are shares of the shorter side, rounded to whole pixels.
    """
    from captum.attr import Occlusion

    side = min(int(x.shape[2]), int(x.shape[3]))
    window, stride = (max(1, round(options[name] * side)) for name in ("window", "stride"))
    stride = min(stride, window)  # or pixels between squares would never be hidden

    def attribute(perturbed: PerturbedImage) -> torch.Tensor:
        places = 1
        for length in x.shape[2:]:
            places *= -(-(int(length) - window) // stride) + 1
        perturbed.scorer.expect(places + 1)
        attributions: torch.Tensor = Occlusion(perturbed.scorer.scores).attribute(
            perturbed.scorer.x,
            sliding_window_shapes=(int(x.shape[1]), window, window),
            strides=(int(x.shape[1]), stride, stride),
            baselines=perturbed.empty,
            perturbations_per_eval=perturbed.batch_size,
        )
        return attributions

    return explain_by_perturbation(model, x, resolve, options, attribute)
