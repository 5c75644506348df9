"""Integrated gradients (Sundararajan et al. 2017), in batches of bounded memory; under noise by captum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import captum_maps, completeness, method_outputs
from vizlib.explainers.parts.path_integral import path_integral
from vizlib.explainers.scorer import checked_maps, make_scorer
from vizlib.figures.numbers import significant
from vizlib.passes.backward import gradients_on

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

LOOSE_GAP = 0.05
MOST_STEPS = 256  # where doubling ends
MOST = 1000  # steps that can be asked for


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """(x - b) times the mean of d score / d x on the way from the baseline b to x, summed over colours, for each input (B, 3, h, w).

    The map adds up to score(x) - score(b), but for the error of Gauss and Legendre's rule: ``steps`` points, for each image doubled until
    that is at most ``max_gap`` of the change, or a note names the number to try. ``facts`` say how far off, and how many steps it took. Of
    balanced slopes the score is no integral, so there is no sum to reach, and ``steps`` stay as they are.
    """
    if options["smoothing"] != "none":
        return _smoothed(model, x, resolve, options)
    with gradients_on():
        scorer = make_scorer(model, x, resolve, options["gradient"])
        outputs = [_integrated(scorer.for_image(index), options) for index in range(len(x))]
    return scorer.targets, outputs


def _integrated(scorer: TargetScorer, options: dict[str, Any]) -> MethodOutput:
    empty, steps = baseline(scorer.model, scorer.x, options["baseline"]), options["steps"]
    pixel_map = _summed(scorer, empty, steps)
    if options["gradient"] != "plain":
        return method_outputs(pixel_map)[0]
    (facts,) = completeness(scorer, pixel_map, empty)
    while 1 > options["max_gap"] < facts["gap"] and 2 * steps <= MOST_STEPS:
        steps *= 2
        pixel_map = _summed(scorer, empty, steps)
        (facts,) = completeness(scorer, pixel_map, empty)
    return _with_completeness(method_outputs(pixel_map)[0], facts | {"steps": float(steps)})


def _summed(scorer: TargetScorer, empty: torch.Tensor, steps: int) -> torch.Tensor:
    scorer.expect(steps + 1)
    return checked_maps(scorer, path_integral(scorer, empty, steps)).sum(1)


def _smoothed(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    from captum.attr import IntegratedGradients

    def arguments(scorer: TargetScorer) -> dict[str, Any]:
        return {
            "baselines": baseline(model, scorer.x, options["baseline"]),
            "n_steps": options["steps"],
            "internal_batch_size": scorer.batch_size(gradients=True),
        }

    scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: IntegratedGradients(scorer.scores), arguments)
    return scorer.targets, method_outputs(maps.sum(1))


def _with_completeness(output: MethodOutput, facts: dict[str, float]) -> MethodOutput:
    notes = output.notes
    if facts["gap"] > LOOSE_GAP:
        steps = int(facts["steps"])
        total, change = significant(facts["sum"]), significant(facts["change"])
        advice = f": take steps={min(MOST, 4 * steps)}" if steps < MOST else f", with as many as {MOST:,} steps"
        notes += (f"The map adds up to {total} where the score changes by {change}{advice}.",)
    return replace(output, notes=notes, facts=facts)
