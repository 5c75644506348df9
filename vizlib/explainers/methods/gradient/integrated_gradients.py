"""Integrated gradients (Sundararajan et al. 2017) by captum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import captum_maps, completeness, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

LOOSE_GAP = 0.05


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """(x - b) times the mean of d score / d x on the way from the baseline b to x, summed over colours, for each input (B, 3, h, w).

    The map adds up to score(x) - score(b), but for the error of ``steps`` points by Gauss and Legendre's rule; ``facts`` say how far off.
    """
    from captum.attr import IntegratedGradients

    def arguments(scorer: TargetScorer) -> dict[str, Any]:
        if options["smoothing"] == "none":
            scorer.expect(len(scorer.x) * (options["steps"] + 2))
        return {
            "baselines": baseline(model, scorer.x, options["baseline"]),
            "n_steps": options["steps"],
            "internal_batch_size": max(len(scorer.x), scorer.batch_size(gradients=True)),
        }

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: IntegratedGradients(scorer.scores), arguments)
    outputs = method_outputs(maps.sum(1))
    if options["smoothing"] != "none":
        return scorer.targets, outputs
    facts = completeness(scorer, maps.sum(1), baseline(model, scorer.x, options["baseline"]))
    return scorer.targets, [_with_completeness(output, fact) for output, fact in zip(outputs, facts, strict=True)]


def _with_completeness(output: MethodOutput, facts: dict[str, float]) -> MethodOutput:
    notes = output.notes
    if facts["gap"] > LOOSE_GAP:
        notes += (f"The map adds up to {facts['sum']:.3g} where the score changes by {facts['change']:.3g}: take more steps.",)
    return replace(output, notes=notes, facts=facts)
