"""Integrated gradients (Sundararajan et al. 2017) by captum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import captum_maps, completeness, method_outputs
from vizlib.explainers.scorer import checked_maps
from vizlib.passes.backward import gradients_on

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

LOOSE_GAP = 0.05
MOST_STEPS = 256  # where doubling ends


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """(x - b) times the mean of d score / d x on the way from the baseline b to x, summed over colours, for each input (B, 3, h, w).

    The map adds up to score(x) - score(b), but for the error of Gauss and Legendre's rule: ``steps`` points, for each image doubled until
    that is at most ``max_gap`` of the change, or a note names the number to try. ``facts`` say how far off, and how many steps it took. Of
    balanced slopes the score is no integral, so there is no sum to reach, and ``steps`` stay as they are.
    """
    from captum.attr import IntegratedGradients

    def arguments(scorer: TargetScorer, steps: int) -> dict[str, Any]:
        if options["smoothing"] == "none":
            scorer.expect(len(scorer.x) * (steps + 2))
        return {
            "baselines": baseline(model, scorer.x, options["baseline"]),
            "n_steps": steps,
            "internal_batch_size": max(len(scorer.x), scorer.batch_size(gradients=True)),
        }

    def method(scorer: TargetScorer) -> IntegratedGradients:
        return IntegratedGradients(scorer.scores)

    scorer, maps = captum_maps(model, x, resolve, options, method, lambda scorer: arguments(scorer, options["steps"]))
    if options["smoothing"] != "none" or options["gradient"] != "plain":
        return scorer.targets, method_outputs(maps.sum(1))
    facts = completeness(scorer, maps.sum(1), baseline(model, scorer.x, options["baseline"]))
    outputs = []
    for index, fact in enumerate(facts):
        image_scorer, pixel_map, steps = scorer.for_image(index), maps[index : index + 1], options["steps"]
        while 1 > options["max_gap"] < fact["gap"] and 2 * steps <= MOST_STEPS:
            steps *= 2
            with gradients_on():
                attributions = method(image_scorer).attribute(image_scorer.x.clone().requires_grad_(), **arguments(image_scorer, steps))
            pixel_map = checked_maps(image_scorer, attributions)
            (fact,) = completeness(image_scorer, pixel_map.sum(1), baseline(model, image_scorer.x, options["baseline"]))  # noqa: PLW2901
        (output,) = method_outputs(pixel_map.sum(1))
        outputs.append(_with_completeness(output, fact | {"steps": float(steps)}))
    return scorer.targets, outputs


def _with_completeness(output: MethodOutput, facts: dict[str, float]) -> MethodOutput:
    notes = output.notes
    if facts["gap"] > LOOSE_GAP:
        more = min(1000, 4 * int(facts["steps"]))
        notes += (f"The map adds up to {facts['sum']:.3g} where the score changes by {facts['change']:.3g}: take steps={more}.",)
    return replace(output, notes=notes, facts=facts)
