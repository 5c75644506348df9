"""What a model answers to a picture, and one method's map of it: computed beside the page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.progress import told_to
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    import numpy as np

    from vizlib import Explanation, Geometry, Model, Prediction
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

    Goal = int | tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class ModelAnswer:
    """What the model answers to the picture: classes by falling probability (none without a head), and where its input lies."""

    ranking: list[Prediction]
    geometry: Geometry
    photo: np.ndarray

    @cached_property
    def jpeg(self) -> np.ndarray:
        """The photograph as the bytes of a JPEG, uint8 (length,)."""
        return as_jpeg(self.photo)

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.photo.nbytes + 300 * len(self.ranking)


@dataclass(frozen=True, eq=False)
class Mapped:
    """An explanation, which shares its picture with the page."""

    explanation: Explanation

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.explanation.input_map.nbytes + sum(stage.nbytes for stage in self.explanation.stages) + 4096


def compute_model_answer(model: Model, picture: Picture, fit: str | None, progress: Progress) -> ModelAnswer:
    """Ask a model what it sees."""
    import torch

    from vizlib.explainers.api import ranked

    progress(0, None, "Asking the model")
    geometry = model.geometry(picture.pixels.shape[:2], fit)
    ranking: list[Prediction] = []
    if model.adapter.classes:
        with torch.inference_mode():
            logits = model(model.prepare(picture.pixels, fit))[0].float().cpu()
        ranking = ranked(model, logits, model.adapter.classes)
    return ModelAnswer(ranking, geometry, model_input(picture, geometry))


def compute_map(
    name: str, model: Model, *, picture: Picture, fit: str | None, goal: Goal, options: dict[str, Any], coarse: bool, progress: Progress
) -> Mapped:
    """The map of the method ``name`` with these options; ``coarse`` where it is a first look."""
    progress(0, None, f"{METHODS[name].title}: {'a first look' if coarse else 'the map'}")
    with told_to(progress):
        explanation = cast("Explanation", vizlib.explain(model, picture.pixels, name, goal, fit, **options))
    return Mapped(replace(explanation, image=picture.pixels))
