"""What the gradient methods of captum share: a shared copy to hook, smoothing under noise, and the sum a map should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.baselines import are_baselines
from vizlib.explainers.parts.sampling import seeded
from vizlib.explainers.scorer import TargetScorer, check_differentiable, checked_maps, make_scorer
from vizlib.passes.backward import gradients_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from captum.attr import GradientAttribution

    from vizlib.explainers.targets import TargetResolver
    from vizlib.zoo.model import Model

_NOISE_TUNNEL_TYPES = {"mean": "smoothgrad", "mean_square": "smoothgrad_sq", "variance": "vargrad"}
ZERO = "To this method no pixel speaks for or against this target: the map is zero."


def captum_maps(
    model: Model,
    x: torch.Tensor,
    resolve: TargetResolver,
    options: dict[str, Any],
    method: Callable[[TargetScorer], GradientAttribution],
    arguments: Callable[[TargetScorer], dict[str, Any]] = lambda scorer: {},  # noqa: ARG005  the method's own
) -> tuple[TargetScorer, torch.Tensor]:
    """The scorer, and captum's attributions (B, 3, h, w) float64, under noise where the options ask for it.

    Smoothing takes the mean, the mean square or the variance of the maps of ``noise_samples`` noisy copies of each image, whose noise has
    ``noise`` times the image's own range as its standard deviation; Smilkov et al. (2017), https://arxiv.org/abs/1706.03825.
    """
    from captum.attr import NoiseTunnel

    with gradients_on():
        scorer = make_scorer(model, x, resolve, options.get("gradient", "plain"))
        check_differentiable(scorer)
        if options.get("smoothing", "none") == "none":
            attributions = method(scorer).attribute(scorer.x.clone().requires_grad_(), **arguments(scorer))
            return scorer, checked_maps(scorer, attributions)
        maps = []
        for index in range(len(x)):
            image_scorer = scorer.for_image(index)
            image_scorer.expect(options["noise_samples"] * options.get("steps", 1))
            spread = float(image_scorer.x.float().amax() - image_scorer.x.float().amin())
            with seeded(options["seed"]):
                attributions = NoiseTunnel(method(image_scorer)).attribute(
                    image_scorer.x.clone().requires_grad_(),
                    nt_type=_NOISE_TUNNEL_TYPES[options["smoothing"]],
                    nt_samples=options["noise_samples"],
                    nt_samples_batch_size=min(options["noise_samples"], image_scorer.batch_size(gradients=True)),
                    stdevs=options["noise"] * spread,
                    **arguments(image_scorer),
                )
            maps.append(checked_maps(image_scorer, attributions))
        return scorer, torch.cat(maps)


def method_outputs(maps: torch.Tensor) -> list[MethodOutput]:
    """One output for each of maps (B, h, w); a map of zeros says in a note that it is one."""
    return [MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (ZERO,)) for pixel_map in maps]


def completeness(scorer: TargetScorer, maps: torch.Tensor, empty: torch.Tensor) -> list[dict[str, float]]:
    """How the sums of maps (B, h, w) compare with how far the scores fall from x to the baseline ``empty`` (B, 3, h, w).

    What an image differs by from itself is rounding, and so without a gap.
    """
    with torch.no_grad():
        change = (
            scorer.scores_of(scorer.logits.to(torch.promote_types(scorer.logits.dtype, torch.float32))) - scorer.scores(empty)
        ).double()
    sums = maps.sum((1, 2))
    return [
        {"change": float(fall), "sum": float(total), "gap": 0.0 if same else abs(float(total) - float(fall)) / max(abs(float(fall)), 1e-12)}
        for fall, total, same in zip(change, sums, are_baselines(scorer.x, empty).tolist(), strict=True)
    ]
