"""DeepLIFT (Shrikumar et al. 2017) by captum."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.gradient_maps import captum_maps, completeness, method_outputs
from vizlib.explainers.parts.guided_relu import hookable

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

MAX_GAP = 0.02  # how far off the sum a map may be
HALF = "Worked out in float32 with the same weights: in half precision the differences that DeepLIFT divides by are lost to rounding."


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """Each pixel's share in score(x) - score(b) by the rescale rule, b the baseline, summed over colours, for each input (B, 3, h, w).

    MethodError when the map does not add up: then a part of the model is nonlinear in a way that captum has no rule for.
    """
    from captum.attr import DeepLift

    half = model.dtype in (torch.float16, torch.bfloat16)
    if half:
        model = replace(model, module=copy.deepcopy(model.module).float())
    empty = baseline(model, model.cast(x), options["baseline"])
    try:
        scorer, maps = captum_maps(model, x, resolve, options, lambda scorer: DeepLift(hookable(scorer)), lambda _: {"baselines": empty})
    except RuntimeError as error:
        if "DeepLift" not in str(error):
            raise
        reason = "calls one ReLU in several places, which DeepLIFT cannot tell apart: give each place its own"
        raise MethodError(f"{model.card.name} {reason}.") from error
    maps = maps.sum(1)
    facts = completeness(scorer, maps, empty)
    off = max(fact["gap"] for fact in facts)
    if off > MAX_GAP:
        raise MethodError(f"DeepLIFT has no rule for some part of {model.card.name}: its map is {100 * off:.3g}% off the sum it must have.")
    notes = (HALF,) if half else ()
    return scorer.targets, [
        replace(output, facts=fact, notes=output.notes + notes) for output, fact in zip(method_outputs(maps), facts, strict=True)
    ]
