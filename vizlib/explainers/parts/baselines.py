"""Pictures that stand for the absence of evidence, as inputs of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

BASELINES = ("mean", "black", "blur", "colour")
SAME = 1e-5  # of the largest value, up to which rounding alone tells two pictures apart
NOTHING = "The picture equals its baseline ({}), which stands for no evidence, so the map is zero: take another baseline."
_WORDS = {"mean": "the training data's mean colour", "black": "black", "blur": "a blur of itself", "colour": "its own mean colour"}
BLUR = 0.15  # standard deviation of the blur, as a share of the shorter side


def baseline(model: Model, x: torch.Tensor, kind: str) -> torch.Tensor:
    """For inputs x (B, 3, h, w) the pictures without evidence, of the same shape.

    "mean": zero, the mean colour of the training data where the model takes normalised pictures; "black"; "blur": x under a Gaussian;
    "colour": each picture's own mean colour. MethodError for black where the model does not say how it normalises.
    """
    if kind == "mean":
        return torch.zeros_like(x)
    if kind == "colour":
        return x.mean((2, 3), keepdim=True).expand_as(x).clone()
    if kind == "black":
        if model.transform is None:
            raise MethodError(f"{model.card.name} does not say how it normalises, so black is not known; take another baseline.")
        mean, std = (torch.tensor(values, dtype=x.dtype) for values in (model.transform.mean, model.transform.std))
        if x.shape[1] not in (1, 3):
            raise MethodError(f"{model.card.name} takes {x.shape[1]} channels, so black is not known; take another baseline.")
        low = -mean / std if x.shape[1] == 3 else -mean.mean(0, keepdim=True) / std.mean(0, keepdim=True)
        return low.to(x.device)[None, :, None, None].expand_as(x).clone()
    sigma = BLUR * min(x.shape[2:])
    images = x.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for image in images])
    return torch.from_numpy(blurred).permute(0, 3, 1, 2).to(x)


def are_baselines(x: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """Which of inputs x (B, 3, h, w) are their own pictures without evidence ``empty``, up to rounding, as one of one colour is: (B,)."""
    x, empty = x.double(), empty.double()
    return (x - empty).abs().amax((1, 2, 3)) <= SAME * x.abs().amax((1, 2, 3))


def nothing_note(kind: str) -> str:
    """What is said of the map of a picture that is its own baseline."""
    return NOTHING.format(_WORDS[kind])
