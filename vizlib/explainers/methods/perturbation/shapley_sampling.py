"""Shapley values of superpixels from random orders (Castro et al. 2009) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """What a superpixel adds to the score when the pieces are shown one by one, the mean over ``orders`` random orders, (B, 3, h, w).

    The values add up to score(x) - score(baseline) exactly; each pixel carries its piece's.
    """
    from captum.attr import ShapleyValueSampling

    def attribute(perturbed: PerturbedImage) -> torch.Tensor:
        perturbed.scorer.expect(options["orders"] * perturbed.piece_count + 2)
        attributions: torch.Tensor = ShapleyValueSampling(perturbed.scorer.scores).attribute(
            perturbed.scorer.x,
            baselines=perturbed.empty,
            feature_mask=perturbed.mask,
            n_samples=options["orders"],
            perturbations_per_eval=perturbed.batch_size,
        )
        return attributions

    return explain_by_perturbation(model, x, resolve, options, attribute, adds_up=True)
