"""Why two models answer differently, on the pixels of the one image that both were shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.analysis.features.resampling import Resampling
from vizlib.analysis.pixel_attribution import BASELINES, Attribution, Difference
from vizlib.errors import MethodError
from vizlib.explainers.targets import class_index
from vizlib.passes.backward import gradients_on
from vizlib.tracing.slopes import slope_at
from vizlib.zoo.activation import log_probabilities

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

STEPS = 32
_BATCH = 8


def same_classes(first: Model, second: Model) -> bool:
    """Whether class numbers mean the same in both: equal labels, or no labels and equally many classes."""
    return first.adapter.classes > 0 and first.adapter.classes == second.adapter.classes and first.labels == second.labels


def explain_difference(
    first: Model, second: Model, image: np.ndarray, target: int | str, *, fit: str | None = None, baseline: str = "grey", steps: int = STEPS
) -> Difference:
    """Integrated gradients of log p_A(c) - log p_B(c) for class ``target``, a number or a label, at the pixels of an image uint8 (H, W, 3).

    The path is a line from the baseline to the image, in the image's own pixels, through each model's own resizing, cropping and scaling.
    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, arXiv:1703.01365. MethodError for models of different
    classes, TargetError for a class they do not have.
    """
    if not same_classes(first, second):
        raise MethodError(f"{first.card.name} and {second.card.name} know different classes, so only their features can be compared.")
    index = class_index(first, target)
    attributions = [integrated(model, image, index, fit=fit, baseline=baseline, steps=steps) for model in (first, second)]
    return Difference(attributions[0], attributions[1], index, first.label(index))


def integrated(
    model: Model, image: np.ndarray, target: int, *, fit: str | None = None, baseline: str = "grey", steps: int = STEPS
) -> Attribution:
    """Integrated gradients of log p(target) at the pixels of an image uint8 (H, W, 3), by Gauss-Legendre quadrature.

    MethodError for a baseline that is not in BASELINES.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).to(torch.float64) / 255
    start = _baseline(pixels, baseline)
    resampling = Resampling.of(model, (image.shape[0], image.shape[1]), fit)
    # The way from image to input is affine, so the path there is a line too, and only its mean gradient has to be carried back.
    low, high = resampling(start), resampling(pixels)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    places, shares = torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
    mean = torch.zeros_like(low)
    with gradients_on():
        for part in torch.arange(steps).split(_BATCH):
            x = low + places[part, None, None, None] * (high - low)
            x = model.cast(x).detach().requires_grad_()
            score = _log_probability(model, x, target).sum()
            if not score.requires_grad:
                raise MethodError(f"No gradient of {model.card.name} reaches the picture: something on the way is detached or has none.")
            gradient = slope_at(score, x)
            mean += (shares[part, None, None, None] * gradient.to("cpu", torch.float64)).sum(0)
    with torch.inference_mode():
        ends = _log_probability(model, torch.stack([low, high]), target).double().tolist()
    attribution = (resampling.back(mean) * (pixels - start)).sum(0)
    return Attribution(attribution.numpy(), ends[1], ends[0])


def _log_probability(model: Model, x: torch.Tensor, target: int) -> torch.Tensor:
    logits = model.class_logits(x)
    class_index(model, target)  # the answer may have shown that there are other classes than the head let expect
    return log_probabilities(logits, model.activation or "softmax")[:, target]


def _baseline(pixels: torch.Tensor, name: str) -> torch.Tensor:
    if not isinstance(name, str) or name not in BASELINES:
        raise MethodError(f"The baselines are {', '.join(BASELINES)}; there is no {str(name)[:40]!r}.")
    if name != "blur":
        return torch.full_like(pixels, 0.5 if name == "grey" else 0.0)
    import cv2

    blurred = cv2.GaussianBlur(pixels.permute(1, 2, 0).numpy(), (0, 0), 0.1 * min(pixels.shape[1:]), borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(blurred).permute(2, 0, 1)
