"""Why two models answer differently, on the pixels of the one image that both were shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.analysis.features.resampling import Resampling
from vizlib.errors import MethodError
from vizlib.explainers.targets import class_index
from vizlib.passes.backward import gradients_on
from vizlib.zoo.activation import log_probabilities

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

BASELINES = {"grey": "an even middle grey", "black": "black", "blur": "the image blurred by a tenth of its short side"}
STEPS = 32
_BATCH = 8
SETS = ("neither", "both", "only the first", "only the second")


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each pixel adds to log p(c) of one model: ``map`` (H, W) float64, the sum over colours.

    ``score`` is log p(c) of the image and ``base`` that of the baseline, so that map.sum() is score - base up to ``gap``.
    """

    map: np.ndarray
    score: float
    base: float

    @property
    def gap(self) -> float:
        """map.sum() - (score - base): what the integral's finite steps leave over."""
        return float(self.map.sum()) - (self.score - self.base)


@dataclass(frozen=True, eq=False)
class Difference:
    """Why log p_A(c) - log p_B(c) is what it is: the attributions of both to one image, against one baseline."""

    first: Attribution
    second: Attribution
    target: int
    label: str

    @property
    def map(self) -> np.ndarray:
        """(H, W) float64: positive where a pixel speaks for the class more in the first model than in the second."""
        return self.first.map - self.second.map

    @property
    def score(self) -> float:
        """log p_A(c) - log p_B(c) of the image."""
        return self.first.score - self.second.score

    @property
    def base(self) -> float:
        """The same of the baseline."""
        return self.first.base - self.second.base

    @property
    def gap(self) -> float:
        """The completeness gap of the difference: map.sum() - (score - base)."""
        return self.first.gap - self.second.gap


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
            (gradient,) = torch.autograd.grad(score, x)
            mean += (shares[part, None, None, None] * gradient.to("cpu", torch.float64)).sum(0)
    with torch.inference_mode():
        ends = _log_probability(model, torch.stack([low, high]), target).double().tolist()
    attribution = (resampling.back(mean) * (pixels - start)).sum(0)
    return Attribution(attribution.numpy(), ends[1], ends[0])


def agreement(first: np.ndarray, second: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Where two maps (H, W) on one image look: int8 codes into SETS, -1 where either is NaN.

    A map looks at the pixels strictly above its own 1 - ``share`` quantile over the pixels that both have: at most ``share`` of them, and
    none where a map is even. 1 is the intersection of both sets, 2 and 3 what only one of them holds. MethodError for different shapes.
    """
    if first.shape != second.shape or not 0 < share < 1:
        raise MethodError(f"Maps of {first.shape} and {second.shape} and a share of {share:g} make no common sets.")
    seen = np.isfinite(first) & np.isfinite(second)
    codes = np.full(first.shape, -1, dtype=np.int8)
    if seen.any():
        in_first, in_second = (values > np.quantile(values[seen], 1 - share) for values in (first, second))
        codes[seen] = np.select([in_first & in_second, in_first, in_second], [1, 2, 3], 0)[seen]
    return codes


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
