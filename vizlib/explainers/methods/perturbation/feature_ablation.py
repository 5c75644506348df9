"""Ablation of superpixels (Zeiler and Fergus 2014, pieces in the place of squares) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """How far the score falls when a superpixel is hidden, each pixel carrying its piece's value, for each prepared input (B, 3, h, w)."""
    from captum.attr import FeatureAblation

    def attribute(perturbed: PerturbedImage) -> torch.Tensor:
        perturbed.scorer.expect(perturbed.piece_count + 1)
        attributions: torch.Tensor = FeatureAblation(perturbed.scorer.scores).attribute(
            perturbed.scorer.x, baselines=perturbed.empty, feature_mask=perturbed.mask, perturbations_per_eval=perturbed.batch_size
        )
        return attributions

    return explain_by_perturbation(model, x, resolve, options, attribute)
