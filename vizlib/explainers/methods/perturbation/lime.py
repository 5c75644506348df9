"""LIME over superpixels (Ribeiro et al. 2016) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
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

    def attribute(puzzle: PerturbedImage) -> torch.Tensor:
        puzzle.asked.expect(options["samples"] + 1)
        found: torch.Tensor = Lime(puzzle.asked.scores, interpretable_model=LeastSquares(1.0), similarity_func=near).attribute(
            puzzle.asked.x,
            baselines=puzzle.empty,
            feature_mask=puzzle.mask,
            n_samples=options["samples"],
            perturbations_per_eval=puzzle.together,
        )
        return found

    return explain_by_perturbation(model, x, settle, options, attribute)
