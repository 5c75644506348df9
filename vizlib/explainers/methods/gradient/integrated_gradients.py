"""Integrated gradients (Sundararajan et al. 2017) by captum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import completeness, maps_by, method_outputs

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model

LOOSE = 0.05


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """(x - b) times the mean of d score / d x on the way from the baseline b to x, summed over colours, for each input (B, 3, h, w).

    The map adds up to score(x) - score(b), but for the error of ``steps`` points by Gauss and Legendre's rule; ``facts`` say how far off.
    """
    from captum.attr import IntegratedGradients

    def arguments(asked: TargetScorer) -> dict[str, Any]:
        if options["smoothing"] == "none":
            asked.expect(len(asked.x) * (options["steps"] + 2))
        return {
            "baselines": baseline(model, asked.x, options["baseline"]),
            "n_steps": options["steps"],
            "internal_batch_size": max(len(asked.x), asked.at_once(gradients=True)),
        }

    asked, maps = maps_by(model, x, settle, options, lambda one: IntegratedGradients(one.scores), arguments)
    found = method_outputs(maps.sum(1))
    if options["smoothing"] != "none":
        return asked.targets, found
    facts = completeness(asked, maps.sum(1), baseline(model, asked.x, options["baseline"]))
    return asked.targets, [_told(one, fact) for one, fact in zip(found, facts, strict=True)]


def _told(finding: MethodOutput, facts: dict[str, float]) -> MethodOutput:
    notes = finding.notes
    if facts["gap"] > LOOSE:
        notes += (f"The map adds up to {facts['sum']:.3g} where the score changes by {facts['change']:.3g}: take more steps.",)
    return replace(finding, notes=notes, facts=facts)
