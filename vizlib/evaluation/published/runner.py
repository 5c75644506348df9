"""A paper's table made again: methods by columns, the means over labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from vizlib.catalog.methods import METHODS, method_card
from vizlib.errors import ExamError, ImageError, MethodError
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.published import published_protocol
from vizlib.explainers.api import explain
from vizlib.images import read_image
from vizlib.stats import grouped_bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.published.protocol import PublishedProtocol
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

TOGETHER = 16


@dataclass(frozen=True)
class PublishedScore:
    """One method in one column: the mean over ``pictures`` and its 95 % bootstrap interval; NaN where ``refused`` says why."""

    method: str
    column: str
    higher_is_better: bool
    value: float
    low: float
    high: float
    pictures: int
    refused: str = ""


def run_published(
    protocol: str, model: Model, pictures: Sequence[tuple[Any, int]], methods: Sequence[str], *, count: int = 40, seed: int = 0
) -> tuple[list[PublishedScore], list[str]]:
    """The scores of methods by a paper's own test, and a line for each picture that cannot be read.

    ``count`` of the pictures (image, path or bytes, and the number of its class) are drawn with ``seed``, the same for all methods.
    A method that does not fit the model has scores that say why. ExamError where no picture can be read, MethodError for an unknown
    method or protocol. Tells of every map through ``vizlib.engine.progress``.
    """
    card = published_protocol(protocol)
    names = [method_card(name).name for name in methods]
    inputs, labels, unreadable = _drawn(model, pictures, count, seed)
    steps = Steps(len(names) * len(inputs))
    scores: list[PublishedScore] = []
    for name in names:
        try:
            values = np.array(
                [row for first in range(0, len(inputs), TOGETHER) for row in _some(card, model, inputs, labels, name, first, steps)]
            )
        except MethodError as error:
            nothing = float("nan")
            scores += [PublishedScore(name, column, up, nothing, nothing, nothing, 0, str(error)) for column, up in card.columns.items()]
            continue
        for (column, up), of_pictures in zip(card.columns.items(), values.T, strict=True):
            low, high, _ = grouped_bootstrap(of_pictures, list(range(len(of_pictures))))
            if len(of_pictures) == 1:
                low = high = float("nan")  # one picture tells nothing of the spread
            scores.append(PublishedScore(name, column, up, float(of_pictures.mean()), low, high, len(of_pictures)))
    return scores, unreadable


def _drawn(model: Model, pictures: Sequence[tuple[Any, int]], count: int, seed: int) -> tuple[list[torch.Tensor], list[int], list[str]]:
    inputs: list[torch.Tensor] = []
    labels: list[int] = []
    unreadable: list[str] = []
    for row in np.random.default_rng(seed).permutation(len(pictures)):
        if len(inputs) == count:
            break
        image, label = pictures[row]
        try:
            inputs.append(model.prepare(read_image(image)))
        except ImageError as error:
            unreadable.append(str(error))
            continue
        labels.append(label)
    if not inputs:
        raise ExamError(f"None of the {len(pictures)} photographs can be read: {unreadable[0] if unreadable else 'there are none'}")
    return inputs, labels, unreadable


def _some(
    card: PublishedProtocol, model: Model, inputs: list[torch.Tensor], labels: list[int], method: str, first: int, steps: Steps
) -> list[list[float]]:
    """The numbers (pictures, columns) of some pictures."""
    x, own_labels = torch.cat(inputs[first : first + TOGETHER]).to(model.device), labels[first : first + TOGETHER]
    maps: dict[str, list[torch.Tensor]] = {}
    with steps.within(len(own_labels)):
        for of in card.maps:
            if maps and not METHODS[method].class_specific:
                maps[of] = maps[card.maps[0]]
                continue
            explanations = cast("list[Explanation]", explain(model, x, method, own_labels if of == "target" else None))
            maps[of] = [torch.from_numpy(explanation.input_map).to(model.device) for explanation in explanations]
        return [
            card.compute(model, image[None], label, {of: of_class[row] for of, of_class in maps.items()})
            for row, (image, label) in enumerate(zip(x, own_labels, strict=True))
        ]
