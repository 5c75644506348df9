"""Gradient SHAP (Lundberg and Lee 2017; Erion et al. 2021) by captum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.parts.baselines import BASELINES, baseline
from vizlib.explainers.parts.gradient_maps import method_outputs
from vizlib.explainers.parts.sampling import seeded
from vizlib.explainers.scorer import TargetScorer, check_differentiable, checked_maps, make_scorer
from vizlib.passes.backward import gradients_on

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, settle: Settle, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The mean of (x - b) d score / d x at random points between a random baseline b and noisy x, summed over colours, (B, 3, h, w).

    The baselines are the mean colour of the data, black where it is known, a blur of the picture and its own mean colour; the noise has
    ``noise`` times the picture's range as its standard deviation.
    """
    with gradients_on():
        asked = make_scorer(model, x, settle)
        check_differentiable(asked)
        maps = [_sampled(asked.one(index), options) for index in range(len(x))]
    return asked.targets, method_outputs(torch.cat(maps).sum(1))


def _sampled(one: TargetScorer, options: dict[str, Any]) -> torch.Tensor:
    from captum.attr import GradientShap

    kinds = [kind for kind in BASELINES if kind != "black" or one.model.transform is not None]
    empty = torch.cat([baseline(one.model, one.x, kind) for kind in kinds])
    spread = float(one.x.float().amax() - one.x.float().amin())
    left, total = options["samples"], torch.zeros_like(one.x, dtype=torch.float64)
    one.expect(left)
    with seeded(options["seed"]):
        while left:
            now = min(left, one.at_once(gradients=True))
            found = GradientShap(one.scores).attribute(
                one.x.clone().requires_grad_(), baselines=empty, n_samples=now, stdevs=options["noise"] * spread
            )
            total += checked_maps(one, found) * now
            left -= now
    return total / options["samples"]
