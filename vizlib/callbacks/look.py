"""One look at a model: what it answers to some pictures, the maps of it, and what its heads do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.analysis.attention.head_statistics import head_statistics
from vizlib.auditing.map_statistics import MapStatistics, kept_grid, map_statistics
from vizlib.errors import MethodError
from vizlib.explainers.api import explain, predict, trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn

    from vizlib.explainers.explanation import Explanation
    from vizlib.explainers.prediction import Prediction
    from vizlib.zoo.model import Model

TOP = 3
MEASURES = ("entropy", "distance")  # of a head: in bits, and in pixels of the input


@dataclass(frozen=True, eq=False)
class Look:
    """What a model made of ``answers``' pictures at a ``step``, by their names.

    ``maps`` holds an explanation by picture and method, ``statistics`` its numbers. ``heads`` holds ``entropy`` (bits) and ``distance``
    (pixels) of each attention, (heads,) each, averaged over the pictures; attention inside windows is not in it.
    """

    step: int
    answers: dict[str, list[Prediction]]
    maps: dict[tuple[str, str], Explanation]
    statistics: dict[tuple[str, str], MapStatistics]
    heads: dict[str, dict[str, np.ndarray]]

    def scalars(self) -> dict[str, float]:
        """Its numbers by name, as trackers take them: of each picture, of each map, of each attention's heads on average."""
        numbers: dict[str, float] = {}
        for picture, answers in self.answers.items():
            if answers:
                numbers[f"{picture}/probability"] = answers[0].probability
        for (picture, method), explanation in self.maps.items():
            statistics = self.statistics[picture, method]
            values = {"evenness": statistics.evenness, "strongest": statistics.strongest, "sink": explanation.sink}
            numbers |= {f"{picture}/{method}/{name}": float(value) for name, value in values.items() if value is not None}
        for site, measures in self.heads.items():
            numbers |= {f"heads/{site}/{name}": float(np.nanmean(values)) for name, values in measures.items()}
        return {name: value for name, value in numbers.items() if np.isfinite(value)}


def take_look(model: Model, pictures: Mapping[str, Any], methods: Sequence[str], step: int, *, heads: bool = True) -> Look:
    """A look at a model as it is, evaluated; the model and torch's generators stay as they were, whatever happens."""
    images = list(pictures.values())
    device = next((parameter.device.type for parameter in model.module.parameters()), "cpu")
    with as_evaluated(model.module), torch.autocast(device, enabled=False), torch.enable_grad():
        answers: Any = predict(model, images, TOP) if model.num_classes else [[] for _ in images]
        maps = {
            (name, method): explanation
            for method in methods
            for name, explanation in zip(pictures, explain(model, images, method), strict=True)  # type: ignore[arg-type]
        }
        statistics = {key: map_statistics(kept_grid(made.input_map, made.stages)) for key, made in maps.items()}
        measured = _heads(model, images) if heads else {}
    return Look(step, dict(zip(pictures, answers, strict=True)), maps, statistics, measured)


@contextmanager
def as_evaluated(module: nn.Module) -> Iterator[None]:
    """Every part of a module in evaluation inside the block, and in the mode that it had after it."""
    modes = [(part, part.training) for part in module.modules()]
    # Set, not called: a module's own train() may do more, such as freezing or drawing.
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _heads(model: Model, images: Sequence[Any]) -> dict[str, dict[str, np.ndarray]]:
    """The mean over pictures of each head's measures, by attention; attention inside windows has no such rows."""
    of_site: dict[str, dict[str, list[np.ndarray]]] = {}
    for image in images:
        traced: Any = trace(model, image)
        size = tuple(model.prepare(image)[0].shape[-2:]) if not isinstance(image, torch.Tensor) else tuple(image.shape[-2:])
        for site in traced.attention:
            try:
                statistics = head_statistics(site, size)  # type: ignore[arg-type]
            except MethodError:
                continue  # inside windows
            for measure in MEASURES:
                of_site.setdefault(site.name, {}).setdefault(measure, []).append(getattr(statistics, measure))
    return {site: {name: np.mean(values, axis=0) for name, values in measures.items()} for site, measures in of_site.items()}
