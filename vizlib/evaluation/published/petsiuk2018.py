"""Deletion and insertion as Petsiuk, Das and Saenko (2018) measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.published.protocol import PublishedProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vizlib.zoo.model import Model

TAPS, SIGMA = 11, 5.0  # of the blur that insertion starts from


def compute(model: Model, x: torch.Tensor, label: int, maps: Mapping[str, torch.Tensor]) -> list[float]:  # noqa: ARG001  the predicted class
    """The areas under the predicted class's probability as pixels turn to zero, and as those of a blurred picture come back.

    One row's worth of pixels at a time. Petsiuk, Das and Saenko, RISE (2018), https://arxiv.org/abs/1806.07421.
    """
    import torch

    from vizlib.evaluation.deletion_insertion import area
    from vizlib.evaluation.published.exchanged_pixels import exchange_highest, logits_of

    values, width = maps["predicted"], x.shape[3]
    counts = [*range(0, values.numel(), width), values.numel()]
    predicted = int(logits_of(model, x)[0].argmax())
    areas = []
    for start, end in ((x, torch.zeros_like(x)), (blurred(x), x)):
        images = exchange_highest(start, end, values, counts)
        areas.append(float(area(logits_of(model, images).softmax(1)[:, predicted])))
    return areas


def blurred(x: torch.Tensor) -> torch.Tensor:
    """Images (1, C, h, w) under a Gaussian of SIGMA cut to TAPS by TAPS, its ends folded back, with zeros around the picture."""
    import numpy as np
    import torch
    from scipy.ndimage import gaussian_filter1d

    taps = torch.from_numpy(gaussian_filter1d(np.eye(TAPS)[TAPS // 2], SIGMA)).to(x)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, TAPS, TAPS)
    return torch.nn.functional.conv2d(x, kernel, padding=TAPS // 2, groups=x.shape[1])


PROTOCOL = PublishedProtocol(
    "petsiuk2018",
    "Deletion and insertion",
    "Petsiuk, Das and Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models (2018)",
    "https://arxiv.org/abs/1806.07421",
    "The area under the predicted class's probability over 0 to 1 of the pixels, one row's worth of pixels at a time, highest first: set "
    "to zero in the normalised picture (deletion, lower is better), or put into a copy blurred by 11 by 11 pixels with a sigma of 5 "
    "(insertion, higher is better).",
    {"deletion": False, "insertion": True},
    ("predicted",),
    compute,
)
