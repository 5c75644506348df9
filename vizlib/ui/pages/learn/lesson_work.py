"""The outcomes of the lesson, worked out beside the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.engine.worker_memory import remember

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from vizlib import Model
    from vizlib.analysis.lesson.outcome import Outcome
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture


@dataclass(frozen=True, eq=False)
class Finding:
    """The outcome of a step, and the part of the picture that its first model sees: a JPEG of ``size`` (h, w), none for the sentence."""

    outcome: Outcome
    photo: bytes = b""
    size: tuple[int, int] = (0, 0)

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.outcome.nbytes + len(self.photo)


def compute_sentence(name: str, progress: Progress) -> Finding:
    """What is found for a step about the sentence."""
    from vizlib.analysis.lesson import sentence

    progress(0, None, "Reading the sentence")
    work = {"bottleneck": sentence.bottleneck, "looked_at": sentence.looked_at}[name]
    return Finding(remember(("learn", name), work, lambda outcome: outcome.nbytes))


def compute_finding(name: str, picture: Picture, *models: Model, progress: Progress) -> Finding:
    """What is found for a step about a picture, with the models that the step names."""
    from vizlib.ui.core.model_input import as_jpeg, model_input

    progress(0, None, "Looking at your picture")
    outcome = _outcome(name, models, [model.prepare(picture.pixels) for model in models])
    photo = model_input(picture, models[0].geometry(picture.pixels.shape[:2]))
    return Finding(outcome, as_jpeg(photo).tobytes(), (photo.shape[0], photo.shape[1]))


def _outcome(name: str, models: Sequence[Model], inputs: Sequence[torch.Tensor]) -> Outcome:
    from vizlib.analysis.lesson import transformer, variants

    if name == "keys":
        return variants.keys_of_first_stage(models[0], inputs[0], list(zip(models[1:], inputs[1:], strict=True)))
    if name == "shuffled":
        return variants.shuffled_pieces(models, inputs)
    work = {
        "tokens": transformer.tokens,
        "farthest": transformer.farthest,
        "settled": transformer.settled,
        "layers_off": transformer.layers_off,
        "patches_out": transformer.patches_out,
        "trusted": transformer.trusted,
    }[name]
    return work(models[0], inputs[0])
