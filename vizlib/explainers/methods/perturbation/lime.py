"""LIME over superpixels (Ribeiro et al. 2016) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The weights of a linear model that imitates the score near each input (B, 3, h, w) when random superpixels are hidden.

    Ridge regression (1) on ``samples`` pictures, each weighed by exp(-d^2 / 2 ``width``^2), d the cosine distance of the pieces shown from
    all of them, as the authors' own code for images does it; each pixel carries its piece's weight.
    """
    import torch
    from captum.attr import Lime

    from vizlib.explainers.parts.linear_surrogate import LeastSquares

    def near(_original: Any, _hidden: Any, shown: torch.Tensor, **_: Any) -> torch.Tensor:
        cosine = shown.double().mean().sqrt()  # of a 0/1 vector with the vector of ones
        return torch.exp(-((1 - cosine) ** 2) / (2 * options["width"] ** 2))

    def attribute(perturbed: PerturbedImage) -> torch.Tensor:
        perturbed.scorer.expect(options["samples"] + 1)
        attributions: torch.Tensor = Lime(perturbed.scorer.scores, interpretable_model=LeastSquares(1.0), similarity_func=near).attribute(
            perturbed.scorer.x,
            baselines=perturbed.empty,
            feature_mask=perturbed.mask,
            n_samples=options["samples"],
            perturbations_per_eval=perturbed.batch_size,
        )
        return attributions

    return explain_by_perturbation(model, x, resolve, options, attribute)
