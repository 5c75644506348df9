"""Ablation of superpixels (Zeiler and Fergus 2014, pieces in the place of squares) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.perturbation import PerturbedImage, explain_by_perturbation

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """How far the score falls when a superpixel is hidden, each pixel carrying its piece's value, for each prepared input (B, 3, h, w)."""
    from captum.attr import FeatureAblation

    def attribute(puzzle: PerturbedImage) -> torch.Tensor:
        puzzle.asked.expect(puzzle.count + 1)
        found: torch.Tensor = FeatureAblation(puzzle.asked.scores).attribute(
            puzzle.asked.x, baselines=puzzle.empty, feature_mask=puzzle.mask, perturbations_per_eval=puzzle.together
        )
        return found

    return explain_by_perturbation(model, x, settle, options, attribute)
