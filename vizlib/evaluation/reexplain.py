"""The same question again: the method, target and options of an explanation, on other inputs or another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError
from vizlib.explainers.api import explain, readable_tensor
from vizlib.explainers.explanation import Explanation
from vizlib.images import read_image
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    import numpy as np

    from vizlib.evaluation.progress import Steps
    from vizlib.zoo.model import Model


def input_of(model: Model, image: Any, fit: str | None) -> torch.Tensor:
    """The input x (1, 3, h, w) of a picture, or of a prepared tensor of one image; MethodError for several."""
    if not isinstance(image, torch.Tensor):
        return model.prepare(read_image(image), fit)
    image = readable_tensor(image)
    x = image[None] if image.ndim == 3 else image
    if x.ndim != 4 or len(x) != 1:
        raise MethodError(f"One image is measured at a time, and this tensor has shape {tuple(image.shape)}: give (3, height, width).")
    return x


def reexplain(model: Model, x: torch.Tensor, explanation: Explanation, steps: Steps, target: Any = None) -> list[np.ndarray]:
    """The input maps (h, w) float64 of x (B, 3, h, w) by the method and options of ``explanation``, for its target or another.

    ``steps`` hears of the passes. MethodError and TargetError as ``vizlib.explain`` has them.
    """
    wanted = explanation.target if target is None else target
    with steps.within(len(x) * METHODS[explanation.method].passes):
        explanations = cast("list[Explanation]", explain(model, x, explanation.method, wanted, **explanation.options))
    return [explanation_again.input_map for explanation_again in explanations]


def check_single(explanation: object) -> None:
    """MethodError for what is no explanation, such as the list that a batch gives."""
    if not isinstance(explanation, Explanation):
        kind = "list" if isinstance(explanation, list) else type(explanation).__name__
        raise MethodError(f"One explanation is measured at a time, not a {kind}: a batch gives a list of them.")


def checked_input(model: Model, image: Any, explanation: Explanation) -> torch.Tensor:
    """The input x (1, 3, h, w) of the image that was explained; MethodError when the explanation is of another model or size."""
    check_single(explanation)
    if explanation.model != checked_model(model).card.name:
        raise MethodError(f"The explanation is of {explanation.model}, not of {model.card.name}.")
    x = input_of(model, image, explanation.fit)
    if tuple(x.shape[2:]) != explanation.input_map.shape:
        raise MethodError(f"The explanation lies on an input of {explanation.input_map.shape}, and this image gives {tuple(x.shape[2:])}.")
    return x
