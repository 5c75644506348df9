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
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """The mean of (x - b) d score / d x at random points between a random baseline b and noisy x, summed over colours, (B, 3, h, w).

    The baselines are the mean colour of the data, black where it is known, a blur of the picture and its own mean colour; the noise has
    ``noise`` times the picture's range as its standard deviation.
    """
    with gradients_on():
        scorer = make_scorer(model, x, resolve)
        check_differentiable(scorer)
        maps = [_sampled(scorer.for_image(index), options) for index in range(len(x))]
    return scorer.targets, method_outputs(torch.cat(maps).sum(1))


def _sampled(scorer: TargetScorer, options: dict[str, Any]) -> torch.Tensor:
    from captum.attr import GradientShap

    kinds = [kind for kind in BASELINES if kind != "black" or scorer.model.transform is not None]
    baselines = torch.cat([baseline(scorer.model, scorer.x, kind) for kind in kinds])
    spread = float(scorer.x.float().amax() - scorer.x.float().amin())
    left, total = options["samples"], torch.zeros_like(scorer.x, dtype=torch.float64)
    scorer.expect(left)
    with seeded(options["seed"]):
        while left:
            batch = min(left, scorer.batch_size(gradients=True))
            attributions = GradientShap(scorer.scores).attribute(
                scorer.x.clone().requires_grad_(), baselines=baselines, n_samples=batch, stdevs=options["noise"] * spread
            )
            total += checked_maps(scorer, attributions) * batch
            left -= batch
    return total / options["samples"]
