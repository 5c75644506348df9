"""What the page of inductive biases knows of one model, one picture and one change; for the component, and as files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.analysis.perturbation.cards import CARDS
from vizlib.engine.progress import told_to
from vizlib.figures.charts import COLOURS, Mark, mark
from vizlib.ui.core.message_codec import pack
from vizlib.ui.pages.models.report_tables import short
from vizlib.zoo.bundled_models import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Model
    from vizlib.analysis.perturbation.cards import PerturbationCard
    from vizlib.analysis.perturbation.response_curves import Response
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture

MARGIN = 8.0
"""Pixels around a cell that must show the picture for it to be compared: a first layer then never sees an edge."""


@dataclass(frozen=True)
class Experiment:
    """What is done to the picture: the change, the second picture's name, the method of the map of what is salient, and the seed."""

    perturbation: str
    partner: str = ""
    salience: str = ""
    seed: int = 0

    @property
    def key(self) -> str:
        """The question as a text."""
        return f"{self.perturbation}/{self.partner}/{self.salience}/{self.seed}"


@dataclass(frozen=True, eq=False)
class ModelResponse:
    """One model's response, and the pictures it was given: uint8 (S, h, w, 3).

    ``name`` and ``mark`` are what the asking visitor's page calls and draws it.
    """

    response: Response
    pictures: np.ndarray
    labels: tuple[str, ...]
    name: str = ""
    mark: Mark = field(default_factory=lambda: mark("", 0))

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.response.nbytes + self.pictures.nbytes + 40 * len(self.labels)


def marks(models: Sequence[ModelChoice]) -> list[Mark]:
    """A mark for each: a bundled model's own everywhere, for others the next that is free."""
    taken = {NAMES.index(one.name) for one in models if one.name in NAMES}
    free = (number for number in range(len(COLOURS) + len(models)) if number not in taken)
    return [
        mark(short(one.name), NAMES.index(one.name)) if one.name in NAMES else mark(one.card.title if one.card else one.name, next(free))
        for one in models
    ]


def compute_response(
    question: Experiment, model: Model, picture: Picture, partner: Picture | None, fit: str | None, progress: Progress
) -> ModelResponse:
    """Ask a model about a picture at every strength of a change."""
    import torch

    import vizlib
    from vizlib.analysis.perturbation.registry import Aids, perturbation
    from vizlib.analysis.perturbation.response_curves import response, to_pixels

    title = short(model.card.name)
    x = model.prepare(picture.pixels, fit)
    salience = other = None
    if question.salience:
        progress(0, None, f"Asking {title} what is salient")
        with told_to(progress):
            made: Any = vizlib.explain(model, x, question.salience)
        salience = torch.from_numpy(made.input_map)
    if partner is not None:
        other = to_pixels(model, model.prepare(partner.pixels, fit))[0]
    aids = Aids(seed=question.seed, margin=MARGIN, salience=salience, other=other)
    how = perturbation(question.perturbation)
    found = response(
        model,
        x,
        question.perturbation,
        aids=aids,
        progress=lambda done, total: progress(done, total, f"Asking {title}: {how.title.lower()}"),
    )
    pixels = to_pixels(model, x)
    shown = torch.cat([how(pixels, strength, aids) for strength in found.strengths])
    pictures = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    labels = tuple(model.label(index) if model.labels else f"class {index}" for index in range(len(found.original)))
    return ModelResponse(found, pictures, labels)


def strength_text(card: PerturbationCard, strength: float) -> str:
    """A strength with its unit."""
    if card.unit.startswith("of "):
        return f"{100 * strength:.0f}\u00a0% {card.unit}"
    special = {"shuffle": f"{strength:.0f} × {strength:.0f} patches", "scale": f"× {strength:g}", "jpeg": f"quality {strength:g}"}
    return special.get(card.name, f"{strength:g}\u00a0{card.unit}")


def pack_response_lab(answers: Sequence[ModelResponse], at: float) -> bytes:
    """The models side by side, opening on strength ``at``; one picture for all of them unless each has its own map."""
    first = answers[0]
    how = CARDS[first.response.perturbation]
    shared = how.needs != "salience"
    header = {
        "change": how.title,
        "strengths": list(first.response.strengths),
        "words": [strength_text(how, strength) for strength in first.response.strengths],
        "at": at,
        "size": list(first.pictures.shape[1:3]),
        "shared": shared,
        "models": [
            {"title": one.mark.label, "colour": one.mark.colour, "labels": list(one.labels), "target": one.response.target}
            for one in answers
        ],
    }
    arrays = {f"{number}.pictures": one.pictures for number, one in enumerate(answers) if number == 0 or not shared}
    for number, one in enumerate(answers):
        arrays[f"{number}.answers"] = np.concatenate([one.response.original[None], one.response.probabilities]).astype(np.float32)
    return pack(header, arrays)


def to_csv(answers: Sequence[ModelResponse]) -> str:
    """One line for each model, strength and number measured; drift has one for each layer, empty where no cell can be compared."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(["model", "change", "strength", "measure", "layer", "value"])
    for one in answers:
        found = one.response
        for index, strength in enumerate(found.strengths):
            start = [one.mark.label, found.perturbation, f"{strength:g}"]
            write([*start, f"probability of {one.labels[found.target]}", "", f"{found.curve[index]:.6g}"])
            write([*start, "first answer", "", one.labels[int(found.probabilities[index].argmax())]])
            write([*start, "KL(original || changed), nats", "", f"{found.divergence[index]:.6g}"])
            write([*start, "cosine of the read-out", "", f"{found.readout[index]:.6g}"])
            for layer, value in zip(found.layers, found.drift[:, index], strict=True):
                write([*start, "drift", layer.name, "" if np.isnan(value) else f"{value:.6g}"])
    return text.getvalue()
