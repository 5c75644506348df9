"""What the page of inductive biases knows of one model, one picture and one change; for the component, and as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.analysis.perturbation.cards import CARDS
from vizlib.engine.progress import told_to
from vizlib.figures.charts import Mark, mark
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.tables import to_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib import Model
    from vizlib.analysis.perturbation.cards import PerturbationCard
    from vizlib.analysis.perturbation.response import Response
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

MARGIN = 8.0
"""Pixels around a cell that must show the picture for it to be compared: a first layer then never sees an edge."""

DRAWS = 8  # of what is random, for the verdict on a claim: one draw alone may say the opposite of the next


@dataclass(frozen=True)
class Experiment:
    """What is done to the picture: the change, the second picture's name, the method of the map of what is salient, and the seed."""

    perturbation: str
    partner: str = ""
    salience: str = ""
    seed: int = 0

    @property
    def key(self) -> str:
        """The experiment as a text."""
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
    def changed(self) -> bool:
        """Whether any strength shows the model another picture than another does: a plain one may be shifted and stay the same."""
        return bool((self.pictures != self.pictures[:1]).any())

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.response.nbytes + self.pictures.nbytes + 40 * len(self.labels)


def compute_response(
    experiment: Experiment, model: Model, picture: Picture, partner: Picture | None, fit: str | None, progress: Progress
) -> ModelResponse:
    """Ask a model about a picture at every strength of a change."""
    import torch

    import vizlib
    from vizlib.analysis.perturbation.registry import Aids, perturbation
    from vizlib.analysis.perturbation.response_curves import response, to_pixels

    title = model.card.display_name
    x = model.prepare(picture.pixels, fit)
    salience = other = None
    if experiment.salience:
        progress(0, None, f"Asking {title} what is salient")
        with told_to(progress):
            explanation: Any = vizlib.explain(model, x[0], experiment.salience)
        salience = torch.from_numpy(explanation.input_map)
    if partner is not None:
        other = to_pixels(model, model.prepare(partner.pixels, fit))[0]
    aids = Aids(seed=experiment.seed, margin=MARGIN, salience=salience, other=other)
    change = perturbation(experiment.perturbation)
    measured = response(
        model,
        x,
        experiment.perturbation,
        aids=aids,
        progress=lambda completed, total: progress(completed, total, f"Asking {title}: {CARDS[experiment.perturbation].words}"),
    )
    pixels = to_pixels(model, x)
    shown = torch.cat([change(pixels, strength, aids) for strength in measured.strengths])
    pictures = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    labels = tuple(model.label(index) if model.labels else f"class {index}" for index in range(len(measured.original)))
    return ModelResponse(measured, pictures, labels)


def compute_draws(experiment: Experiment, model: Model, picture: Picture, fit: str | None, progress: Progress) -> np.ndarray:
    """How much of its first answer a model keeps over several draws of what is random, the one shown among them: (DRAWS,)."""
    from vizlib.analysis.perturbation.response_curves import kept_over_draws

    seeds = range(experiment.seed, experiment.seed + DRAWS)
    title, what = model.card.display_name, CARDS[experiment.perturbation].words
    return kept_over_draws(
        model, model.prepare(picture.pixels, fit), experiment.perturbation, seeds,
        progress=lambda completed, total: progress(completed, total, f"Asking {title}: {what}, {DRAWS} draws"),
    )  # fmt: skip


def strength_text(card: PerturbationCard, strength: float) -> str:
    """A strength with its unit."""
    if card.unit.startswith("of "):
        return f"{100 * strength:.0f}\u00a0% {card.unit}"
    patches = "patch" if strength == 1 else "patches"
    special = {"shuffle": f"{strength:.0f} × {strength:.0f} {patches}", "scale": f"× {strength:g}", "jpeg": f"quality {strength:g}"}
    unit = card.unit.replace("cycles", "cycle", 1) if strength == 1 else card.unit
    return special.get(card.name, f"{strength:g}\u00a0{unit}")


def pack_response_lab(answers: Sequence[ModelResponse], at: float) -> bytes:
    """The models side by side, opening on strength ``at``; one picture for all of them unless each has its own map."""
    first = answers[0]
    change = CARDS[first.response.perturbation]
    shared = change.needs != "salience"
    header = {
        "change": change.title,
        "strengths": list(first.response.strengths),
        "words": [strength_text(change, strength) for strength in first.response.strengths],
        "at": at,
        "size": list(first.pictures.shape[1:3]),
        "shared": shared,
        "models": [
            {"title": answer.mark.label, "colour": answer.mark.colour, "labels": list(answer.labels), "target": answer.response.target}
            for answer in answers
        ],
    }
    arrays = {f"{number}.pictures": answer.pictures for number, answer in enumerate(answers) if number == 0 or not shared}
    for number, answer in enumerate(answers):
        response = answer.response
        arrays[f"{number}.answers"] = np.concatenate([response.original[None], response.probabilities]).astype(np.float32)
    return pack(header, arrays)


def responses_csv(answers: Sequence[ModelResponse]) -> str:
    """One line for each model, strength and number measured; drift has one for each layer, empty where no cell can be compared."""

    def rows() -> Iterator[list[Any]]:
        for answer in answers:
            response = answer.response
            for index, strength in enumerate(response.strengths):
                start = [answer.mark.label, response.perturbation, f"{strength:g}"]
                yield [*start, f"probability of {answer.labels[response.target]}", "", f"{response.curve[index]:.6g}"]
                yield [*start, "first answer", "", answer.labels[int(response.probabilities[index].argmax())]]
                yield [*start, "KL(original || changed), nats", "", f"{response.divergence[index]:.6g}"]
                yield [*start, "cosine of the read-out", "", f"{response.readout[index]:.6g}"]
                for layer, drift in zip(response.layers, response.drift[:, index], strict=True):
                    yield [*start, "drift", layer.name, None if np.isnan(drift) else f"{drift:.6g}"]

    return to_csv(["model", "change", "strength", "measure", "layer", "value"], rows())
