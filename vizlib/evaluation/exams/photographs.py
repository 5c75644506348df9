"""Photographs as a model sees and answers them, which is what exams are built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.engine.progress import tell
from vizlib.errors import ExamError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

QUESTIONS = 40
CONFIDENT = 0.5  # the least probability of an answer that is built on
MOST = 300  # photographs that are looked at for one model
BATCH = 64


@dataclass(frozen=True, eq=False)
class Photographs:
    """Inputs x (N, 3, h, w) of photographs, the model's logits and probabilities ``shares`` (N, K), and what could not be read."""

    x: torch.Tensor
    logits: torch.Tensor
    skipped: tuple[tuple[str, str], ...]
    shares: torch.Tensor

    @property
    def answers(self) -> np.ndarray:
        """The class (N,) that each is answered with."""
        return self.logits.argmax(1).numpy()

    @property
    def sure(self) -> np.ndarray:
        """Which (N,) are answered with confidence."""
        return (self.shares.amax(1) >= CONFIDENT).numpy()


def load_photographs(model: Model, images: Any, seed: int = 0) -> Photographs:
    """Up to MOST photographs, drawn with ``seed``, from a folder, a list of images or paths, or a mapping by name.

    ExamError when the model has no classes or does not say how it takes photographs, or when none can be read.
    """
    from vizlib.datasets.image_source import Source

    if not model.adapter.classes:
        raise ExamError(f"{model.card.name} has no classification head, so there is no class to ask about.")
    if model.transform is None:
        raise ExamError(f"{model.card.name} does not say how it takes photographs; wrap it with input_size= or transform=.")
    source = Source.of(images)
    if len(source.items) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(len(source.items), MOST, replace=False))
        source = Source([source.items[row] for row in rows])
    inputs = [model.prepare(image) for _, image in source]
    if not inputs:
        raise ExamError(f"None of the {len(source.items)} images can be read: {source.skipped[0][1]}")
    x = torch.cat(inputs)
    answers = logits(model, x)
    return Photographs(x, answers, tuple(source.skipped), model.probabilities(answers))


def logits(model: Model, x: torch.Tensor) -> torch.Tensor:
    """The logits (N, K) float64 on the CPU of inputs (N, 3, h, w), a batch at a time."""
    batches = []
    with torch.inference_mode():
        for some in x.split(BATCH):
            batches.append(model.class_logits(some).double().cpu())
            tell(0, None)  # so that whoever listens may stop
    return torch.cat(batches)


def input_as_picture(model: Model, x: torch.Tensor) -> np.ndarray:
    """An input (1, 3, h, w) as the picture that the model gets: uint8 (h, w, 3)."""
    assert model.transform is not None  # noqa: S101  photographs() asks for it
    return model.transform.to_rgb(x)
