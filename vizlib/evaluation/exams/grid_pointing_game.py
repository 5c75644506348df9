"""The grid pointing game: four photographs of four classes in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.errors import ExamError
from vizlib.evaluation.exams.photographs import QUESTIONS, input_as_picture, load_photographs, logits
from vizlib.evaluation.exams.question import Question, Questions

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

QUARTERS = 4
TRIES = 50  # ways to fill one collage


def grid_questions(model: Model, images: Any, seed: int = 0, *, count: int = QUESTIONS) -> Questions:
    """About ``count`` questions: each photograph of 2 x 2 in turn, for its own class.

    The collage has the size of the model's input, and photographs half of it, so that all models play one game: most take no other size,
    and of the two bundled ones that do, at double size the CvT keeps twice as many answers and the ResNet fewer. Only photographs take
    part that are answered with confidence, each in quarters where it keeps its answer at half size while the others are empty. ExamError
    when there is no collage of four different classes.
    """
    shown = load_photographs(model, images, seed)
    height, width = (int(side) for side in shown.x.shape[2:])
    if height % 2 or width % 2:
        raise ExamError(f"{model.card.name} takes {height} x {width} pixels, which do not part into four quarters.")
    half = F.interpolate(shown.x, size=(height // 2, width // 2), mode="bilinear", antialias=True, align_corners=False)
    sure = np.flatnonzero(shown.sure)
    holds = _keeps_answer(model, half[sure], shown.answers[sure])
    collages = _collages(holds, shown.answers[sure], -(-count // QUARTERS), seed)
    if not collages:
        raise ExamError(
            f"A collage needs {QUARTERS} photographs of different classes that {model.card.name} is sure of, each of which keeps its "
            f"answer at half size in a quarter of its own: of these {len(shown.x)}, {len(sure)} are answered with confidence and "
            f"{int(holds.any(1).sum())} keep their answer in some quarter; take more photographs of its classes."
        )
    questions = []
    for number, rows in enumerate(collages):
        x = assembled([half[sure[row]] for row in rows])[None]
        for quarter, row in enumerate(rows):
            target = int(shown.answers[sure[row]])
            words = f"One of four photographs is answered with {model.label(target)}, whole and alone in its quarter."
            questions.append(
                Question("grid", input_as_picture(model, x), x, model, target, _quarter(quarter, (height, width)), words, group=number)
            )
    return Questions(questions, shown.skipped)


def assembled(parts: list[torch.Tensor | None]) -> torch.Tensor:
    """A picture (3, h, w) of four parts (3, h / 2, w / 2), row by row, the mean colour in the place of None."""
    empty = torch.zeros_like(next(part for part in parts if part is not None))
    filled = [empty if part is None else part for part in parts]
    return torch.cat([torch.cat(filled[:2], 2), torch.cat(filled[2:], 2)], 1)


def _keeps_answer(model: Model, parts: torch.Tensor, answers: np.ndarray) -> np.ndarray:
    """Whether the model gives the answers (N,) for parts (N, 3, h / 2, w / 2) in each quarter of an empty picture: bool (N, 4)."""
    rows = []
    for quarter in range(QUARTERS):
        alone = [assembled([part if place == quarter else None for place in range(QUARTERS)]) for part in parts]
        rows.append(logits(model, torch.stack(alone)).argmax(1).numpy() == answers if alone else np.zeros(0, bool))
    return np.stack(rows, 1)


def _collages(holds: np.ndarray, answers: np.ndarray, wanted: int, seed: int) -> list[list[int]]:
    """Rows (four each) of photographs with answers (N,) that are all different, each in a quarter where it ``holds`` (N, 4).

    No photograph is twice in one quarter, and those that were in fewer collages come first.
    """
    rng, left = np.random.default_rng(seed), holds.copy()
    used = np.zeros(len(answers), int)
    collages: list[list[int]] = []
    for _ in range(wanted):
        rows = next((rows for rows in (_filled(left, answers, used, rng) for _ in range(TRIES)) if rows), None)
        if rows is None:
            break
        left[rows, range(QUARTERS)] = False
        used[rows] += 1
        collages.append(rows)
    return collages


def _filled(left: np.ndarray, answers: np.ndarray, used: np.ndarray, rng: np.random.Generator) -> list[int] | None:
    """One photograph for each quarter, the quarters with the fewest to choose from first; None when that ends in a dead end."""
    rows = dict.fromkeys(range(QUARTERS), -1)
    for quarter in np.argsort(left.sum(0) + rng.random(QUARTERS)).tolist():
        taken = [answers[row] for row in rows.values() if row >= 0]
        free = np.flatnonzero(left[:, quarter] & ~np.isin(answers, taken))
        if not len(free):
            return None
        rows[quarter] = int(min(rng.permutation(free).tolist(), key=lambda row: used[row]))
    return list(rows.values())


def _quarter(number: int, size: tuple[int, int]) -> np.ndarray:
    truth = np.zeros((2, size[0] // 2, 2, size[1] // 2))
    truth[number // 2, :, number % 2] = 1
    return truth.reshape(size)
