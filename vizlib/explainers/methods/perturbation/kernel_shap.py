"""Kernel SHAP over superpixels (Lundberg and Lee 2017) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Shapley values of superpixels as the weights of a linear model of ``samples`` random coalitions, for each input (B, 3, h, w).

    The empty and the full picture weigh a million times as much as any other, so the values nearly add up; each pixel carries its piece's.
    """
    from captum.attr import KernelShap

    from vizlib.explainers.parts.linear_surrogate import LeastSquares

    def attribute(perturbed: PerturbedImage) -> torch.Tensor:
        perturbed.scorer.expect(options["samples"] + 1)
        method = KernelShap(perturbed.scorer.scores)
        method.interpretable_model = LeastSquares(0.0)
        attributions: torch.Tensor = method.attribute(
            perturbed.scorer.x,
            baselines=perturbed.empty,
            feature_mask=perturbed.mask,
            n_samples=options["samples"],
            perturbations_per_eval=perturbed.batch_size,
        )
        return attributions

    return explain_by_perturbation(model, x, resolve, options, attribute, adds_up=True)
