"""DeepLIFT (Shrikumar et al. 2017) by its rescale rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.parts.activation_rules import RescaledActivations
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import completeness, method_outputs
from vizlib.explainers.scorer import check_differentiable, checked_maps, make_scorer
from vizlib.figures.numbers import percent
from vizlib.passes.backward import gradients_on
from vizlib.tracing.shared_copy import converted_copy
from vizlib.tracing.slopes import slope_at

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

MAX_GAP = 0.02  # how far off the sum a map may be
HALF = "Worked out in float32 with the same weights: in half precision the differences that DeepLIFT divides by are lost to rounding."


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Each pixel's share in score(x) - score(b) by the rescale rule, b the baseline, summed over colours, for each input (B, 3, h, w).

    Every call of an activation counts, also of a function or of one part in several places; captum's own DeepLift knows only parts that
    are called once. MethodError when the map does not add up: then the model is nonlinear in a way that has no rule.
    """
    half = model.dtype in (torch.float16, torch.bfloat16)
    if half:
        model = replace(model, module=converted_copy(model.module, torch.float32))
    with gradients_on():
        scorer = make_scorer(model, x, resolve)
        check_differentiable(scorer)
        empty = baseline(model, scorer.x, options["baseline"])
        images = scorer.x.clone().requires_grad_()
        with RescaledActivations():
            scores = scorer.scores(torch.cat([images, empty]))
        multipliers = slope_at(scores.sum(), images)
        maps = checked_maps(scorer, (scorer.x - empty) * multipliers).sum(1)
    facts = completeness(scorer, maps, empty)
    off = max(fact["gap"] for fact in facts)
    if off > MAX_GAP:
        raise MethodError(f"DeepLIFT has no rule for some part of {model.card.name}: its map is {percent(off)} off the sum it must have.")
    notes = (HALF,) if half else ()
    return scorer.targets, [
        replace(output, facts=fact, notes=output.notes + notes) for output, fact in zip(method_outputs(maps), facts, strict=True)
    ]
