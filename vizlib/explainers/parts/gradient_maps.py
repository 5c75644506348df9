"""What the gradient methods of captum share: a shadow to hook, smoothing under noise, and the sum a map should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.sampling import seeded
from vizlib.explainers.scorer import TargetScorer, check_differentiable, checked_maps, make_scorer
from vizlib.passes.backward import gradients_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum.attr import GradientAttribution

    from vizlib.explainers.targets import Settle
    from vizlib.zoo.model import Model

_TUNNEL = {"mean": "smoothgrad", "mean_square": "smoothgrad_sq", "variance": "vargrad"}
ZERO = "The gradient of this target is zero everywhere: the map is zero."


def maps_by(
    model: Model,
    x: torch.Tensor,
    settle: Settle,
    options: dict[str, Any],
    method: Callable[[TargetScorer], GradientAttribution],
    arguments: Callable[[TargetScorer], dict[str, Any]] = lambda asked: {},  # noqa: ARG005  the method's own
) -> tuple[TargetScorer, torch.Tensor]:
    """What was asked, and captum's attributions (B, 3, h, w) float64, under noise where the options ask for it.

    Smoothing takes the mean, the mean square or the variance of the maps of ``noise_samples`` noisy copies of each image, whose noise has
    ``noise`` times the image's own range as its standard deviation; Smilkov et al. (2017), https://arxiv.org/abs/1706.03825.
    """
    from captum.attr import NoiseTunnel

    with gradients_on():
        asked = make_scorer(model, x, settle)
        check_differentiable(asked)
        if options.get("smoothing", "none") == "none":
            found = method(asked).attribute(asked.x.clone().requires_grad_(), **arguments(asked))
            return asked, checked_maps(asked, found)
        maps = []
        for index in range(len(x)):
            one = asked.one(index)
            one.expect(options["noise_samples"] * options.get("steps", 1))
            spread = float(one.x.float().amax() - one.x.float().amin())
            with seeded(options["seed"]):
                found = NoiseTunnel(method(one)).attribute(
                    one.x.clone().requires_grad_(),
                    nt_type=_TUNNEL[options["smoothing"]],
                    nt_samples=options["noise_samples"],
                    nt_samples_batch_size=min(options["noise_samples"], one.at_once(gradients=True)),
                    stdevs=options["noise"] * spread,
                    **arguments(one),
                )
            maps.append(checked_maps(one, found))
        return asked, torch.cat(maps)


def method_outputs(maps: torch.Tensor) -> list[MethodOutput]:
    """One finding for each map (B, h, w); a map of zeros says that it is one."""
    return [MethodOutput(one, None, () if bool(one.any()) else (ZERO,)) for one in maps]


def completeness(asked: TargetScorer, maps: torch.Tensor, empty: torch.Tensor) -> list[dict[str, float]]:
    """How the sums of maps (B, h, w) compare with how far the scores fall from x to the baseline ``empty`` (B, 3, h, w)."""
    with torch.no_grad():
        change = (asked.scores(asked.x) - asked.scores(empty)).double()
    sums = maps.sum((1, 2))
    return [
        {"change": float(of), "sum": float(one), "gap": abs(float(one) - float(of)) / max(abs(float(of)), 1e-12)}
        for of, one in zip(change, sums, strict=True)
    ]
