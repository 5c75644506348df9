"""Input times a balanced gradient (Mehri et al. 2025), whose sum is kept from layer to layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.gradient_maps import method_outputs
from vizlib.explainers.parts.input_gradients import input_gradients

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The sum over colours of x times the slope of the score by the rule ``gradient``, at each pixel of each input (B, 3, h, w).

    By "libra" every layer is affine in what it passes on, so the map adds up to the score but for what comes from biases and learned
    tokens. ``facts`` say both, and what state times slope adds up to after each stage that the adapter names.
    """
    gradients = input_gradients(model, x, resolve, options["gradient"], stages=True)
    maps = (gradients.x.double() * gradients.slopes.double()).sum(1)
    sums = {name: (state.double() * slope.double()).flatten(1).sum(1) for name, (state, slope) in gradients.stages.items()}
    outputs = []
    for index, output in enumerate(method_outputs(maps)):
        score, total = float(gradients.scores[index]), float(maps[index].sum())
        facts = {"score": score, "sum": total} | {f"sum after {name}": float(values[index]) for name, values in sums.items()}
        outputs.append(replace(output, facts=facts))
    return gradients.targets, outputs
