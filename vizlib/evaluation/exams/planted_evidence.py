"""Planted evidence: cut-outs of photographs pasted into others, asked about where they were measured to speak for their class."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.engine.progress import tell, told_to
from vizlib.errors import ExamError
from vizlib.evaluation.exams.cards import FEWEST
from vizlib.evaluation.exams.photographs import QUESTIONS, input_as_picture, load_photographs, logits
from vizlib.evaluation.exams.question import Question, Questions
from vizlib.figures.numbers import decimal, signed

if TYPE_CHECKING:
    from vizlib.engine.progress import Listener
    from vizlib.evaluation.exams.photographs import Photographs
    from vizlib.zoo.model import Model

SIDE = 3 / 8  # of the cut-out, as a share of each side of the input
RISE = 2.0  # the logit's rise that counts as an effect where the class does not become the top answer
STILL = 0.5  # and the change that counts as none
ABSENT = 0.05  # the most probability of a class that the model does not see
TRIES = 60  # for each question
DONORS = 40
WINDOWS = 3  # places along each side where a cut-out may come from


@dataclass(frozen=True)
class _Attempt:
    """A host photograph, the donors of the plant and of the control, the class of the plant, and the top left corners where they go."""

    target: int
    host: int
    plant: int
    control: int
    place: tuple[int, int]
    beside: tuple[int, int]


def planted_questions(model: Model, images: Any, seed: int = 0, progress: Listener | None = None, *, count: int = QUESTIONS) -> Questions:
    """Up to ``count`` questions: a host, a cut-out with a measured effect on its class's logit, and one of the same size with none.

    Cut-outs are the third of their photograph's windows that speaks most for its class when it is shown alone; neither covers the middle.
    The effect is the change of the logit when the cut-out is added to the host with the other one. ExamError when fewer than FEWEST
    plants have it.
    """
    with told_to(progress) if progress is not None else nullcontext():
        shown = load_photographs(model, images, seed)
        rng = np.random.default_rng(seed)
        size = (int(shown.x.shape[2]), int(shown.x.shape[3]))
        shape = (round(SIDE * size[0]), round(SIDE * size[1]))
        donors = _donors(shown, rng)
        cuts = _cuts(model, shown, donors, shape)
        questions: list[Question] = []
        tried = 0
        while len(questions) < count and tried < TRIES * count:
            tries = [attempt for attempt in (_random_attempt(shown, donors, shape, size, rng) for _ in range(32)) if attempt is not None]
            tried += 32
            questions += _effective_questions(model, shown, cuts, tries, shape, first=len(questions))[: count - len(questions)]
            tell(len(questions), count)
    needed = min(FEWEST, count)
    if len(questions) < needed:
        raise ExamError(
            f"Of {tried} cut-outs that were tried on {model.card.name}, {len(questions)} raised the logit of their class by {RISE:g} or "
            f"made it the answer, and {needed} are needed: take more photographs of its classes than these {len(shown.x)}."
        )
    return Questions(questions, shown.skipped)


def _donors(shown: Photographs, rng: np.random.Generator) -> np.ndarray:
    sure = np.flatnonzero(shown.sure)
    if len(np.unique(shown.answers[sure])) < 2 or len(shown.x) < 3:
        raise ExamError(
            f"Cut-outs need photographs of two classes that the model is sure of, and a third one: it is sure of {len(sure)} of these "
            f"{len(shown.x)}."
        )
    return np.sort(rng.permutation(sure)[:DONORS])


def _cuts(model: Model, shown: Photographs, donors: np.ndarray, shape: tuple[int, int]) -> dict[int, torch.Tensor]:
    """For each donor the window (3, *shape) that speaks most for its class on an empty picture."""
    height, width = (int(side) for side in shown.x.shape[2:])
    middle = ((height - shape[0]) // 2, (width - shape[1]) // 2)
    cuts = {}
    for donor in donors.tolist():
        windows = [
            shown.x[donor, :, top : top + shape[0], left : left + shape[1]]
            for top in np.linspace(0, height - shape[0], WINDOWS).round().astype(int)
            for left in np.linspace(0, width - shape[1], WINDOWS).round().astype(int)
        ]
        alone = torch.stack([_paste(torch.zeros_like(shown.x[donor]), window, middle) for window in windows])
        cuts[donor] = windows[int(logits(model, alone)[:, int(shown.answers[donor])].argmax())]
    return cuts


def _random_attempt(
    shown: Photographs, donors: np.ndarray, shape: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> _Attempt | None:
    """A host that does not show the plant's class, a control of a third class, and two places apart and off the middle."""
    plant, control = (int(donor) for donor in rng.choice(donors, 2, replace=False))
    host = int(rng.integers(len(shown.x)))
    wanted = int(shown.answers[plant])
    if host in (plant, control) or shown.shares[host, wanted] > ABSENT or shown.answers[control] == wanted:
        return None
    for _ in range(20):
        place, beside = ((int(rng.integers(size[0] - shape[0] + 1)), int(rng.integers(size[1] - shape[1] + 1))) for _ in range(2))
        apart = any(abs(start - other) >= side for start, other, side in zip(place, beside, shape, strict=True))
        if apart and not _covers_middle(place, shape, size) and not _covers_middle(beside, shape, size):
            return _Attempt(wanted, host, plant, control, place, beside)
    return None


def _covers_middle(place: tuple[int, int], shape: tuple[int, int], size: tuple[int, int]) -> bool:
    return all(first <= side / 2 <= first + length for first, length, side in zip(place, shape, size, strict=True))


def _effective_questions(
    model: Model, shown: Photographs, cuts: dict[int, torch.Tensor], tries: list[_Attempt], shape: tuple[int, int], first: int
) -> list[Question]:
    """The questions among some tries: those whose plant has its effect, alone and beside the control, and whose control has none."""
    planted = [_paste(shown.x[attempt.host], cuts[attempt.plant], attempt.place) for attempt in tries]
    if not planted:
        return []
    answers = logits(model, torch.stack(planted))
    # Most tries fail on the plant alone, and cost one picture.
    effective = [
        (attempt, picture, float(with_plant[attempt.target]))
        for attempt, picture, with_plant in zip(tries, planted, answers, strict=True)
        if _effect(shown.logits[attempt.host], with_plant, attempt.target)
    ]
    if not effective:
        return []
    pictures = []
    for attempt, picture, _ in effective:
        pictures += [
            _paste(shown.x[attempt.host], cuts[attempt.control], attempt.beside),
            _paste(picture, cuts[attempt.control], attempt.beside),
        ]
    questions: list[Question] = []
    for number, (control, both) in enumerate(logits(model, torch.stack(pictures)).unflatten(0, (-1, 2))):
        attempt, _, plant = effective[number]
        change = float(both[attempt.target]) - plant
        if not _effect(control, both, attempt.target) or abs(change) > STILL:
            continue
        x = pictures[2 * number + 1][None]
        words = planted_words(
            (model.label(attempt.target), model.label(int(shown.answers[attempt.control]))),
            (float(control[attempt.target]), float(both[attempt.target])),
            change,
            new_answer=int(both.argmax()) == attempt.target != int(control.argmax()),
        )
        truth, beside = _area(attempt.place, shape, x), _area(attempt.beside, shape, x)
        group = first + len(questions)
        questions.append(
            Question(
                "planted", input_as_picture(model, x), x, model, attempt.target, truth.astype(np.float64), words, group, control=beside
            )
        )
    return questions


def planted_words(labels: tuple[str, str], scores: tuple[float, float], change: float, *, new_answer: bool) -> str:
    """What a cut-out of the first of two labels did to its class's logit, without and with it, and what the control, of the second, did."""
    before, after = (decimal(logit, 1) for logit in scores)
    rises = scores[1] > scores[0]
    moves = f"leaves its logit at {after}" if before == after else f"{'raises' if rises else 'lowers'} its logit from {before} to {after}"
    answer = f" {'and' if rises else 'but'} makes it the top answer" if new_answer else ""
    return f"A cut-out of {labels[0]} {moves}{answer}; the control beside it, of {labels[1]}, changes it by {signed(change)}."


def _effect(without: torch.Tensor, with_it: torch.Tensor, target: int) -> bool:
    """Whether logits (K,) with the plant have the class at the top, where it was not, or RISE above the logits without."""
    return bool(with_it[target] - without[target] >= RISE) or int(with_it.argmax()) == target != int(without.argmax())


def _paste(picture: torch.Tensor, cut: torch.Tensor, place: tuple[int, int]) -> torch.Tensor:
    """A copy of a picture (3, h, w) with a cut-out (3, a, b) at its top left corner."""
    result = picture.clone()
    result[:, place[0] : place[0] + cut.shape[1], place[1] : place[1] + cut.shape[2]] = cut
    return result


def _area(place: tuple[int, int], shape: tuple[int, int], x: torch.Tensor) -> np.ndarray:
    mask = np.zeros(tuple(x.shape[2:]), bool)
    mask[place[0] : place[0] + shape[0], place[1] : place[1] + shape[1]] = True
    return mask
