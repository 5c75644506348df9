"""How a method answers an exam's questions, and the mark that its maps get."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from vizlib.catalog.methods import method_card
from vizlib.errors import ExamError, MethodError
from vizlib.evaluation.control_maps import centred_gaussian_map
from vizlib.evaluation.exams.cards import EXAMS, FEWEST
from vizlib.evaluation.exams.question import Mark
from vizlib.evaluation.pointing_game import mass_in_box, pointing
from vizlib.evaluation.progress import Steps
from vizlib.explainers.api import explain
from vizlib.stats import grouped_bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.exams.question import Question
    from vizlib.explainers.explanation import Explanation

TOGETHER = 16


def answer_exam(questions: Sequence[Question], method: str, **options: Any) -> Mark:
    """The mark of one method for the questions of one exam: each is explained for its own class, and the maps are marked.

    A method that does not fit one of the models gets a mark that says why. ExamError for no questions or several exams, MethodError for a
    method or an option that there is not. Tells of every map through ``vizlib.engine.progress``.
    """
    exam = _exam(questions)
    method_card(method).resolve(options)
    started = time.perf_counter()
    try:
        maps = explain_questions(questions, method, **options)
    except MethodError as error:
        return Mark.refusal(exam, method, _models(questions), EXAMS[exam].unit, str(error))
    return grade(questions, maps, method, (time.perf_counter() - started) / len(questions))


def explain_questions(questions: Sequence[Question], method: str, **options: Any) -> list[np.ndarray]:
    """The map float64 (h, w) of each question by one method; MethodError where it does not fit a model."""
    alike: dict[Any, list[int]] = {}
    for number, question in enumerate(questions):
        alike.setdefault((id(question.model), question.target, question.x.shape), []).append(number)
    maps: dict[int, np.ndarray] = {}
    steps = Steps(len(questions))
    for rows in alike.values():
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            first_question = questions[some[0]]
            x = torch.cat([questions[row].x for row in some])
            with steps.within(len(some)):
                explanations = cast("list[Explanation]", explain(first_question.model, x, method, first_question.target, **options))
            maps.update((row, explanation.input_map) for row, explanation in zip(some, explanations, strict=True))
    return [maps[number] for number in range(len(questions))]


def grade(questions: Sequence[Question], maps: Sequence[np.ndarray], method: str, seconds: float = float("nan")) -> Mark:
    """The mark that maps (h, w), one for each question, get: their mean share of the evidence beside that of maps that know nothing.

    The interval is a bootstrap over the questions' groups, widened by sqrt(n / (n - 1)) for n of them, within 0 and 1. ExamError for no
    questions.
    """
    exam = _exam(questions)
    values, hits, areas, silent, control = [], [], [], 0, []
    references: dict[str, list[float]] = {"even": [], "gaussian": []}
    for question, input_map in zip(questions, maps, strict=True):
        ours, truth = torch.from_numpy(np.asarray(input_map, np.float64)), torch.from_numpy(question.truth)
        values.append(evidence_share(question, ours))
        if question.hidden is None:
            hits.append(float(pointing(ours[None], truth[None] > 0)))
            areas.append(float((truth > 0).double().mean()))
        silent += not bool((ours > 0).any())
        size = (int(truth.shape[0]), int(truth.shape[1]))
        references["even"].append(evidence_share(question, torch.ones(size)))
        references["gaussian"].append(evidence_share(question, centred_gaussian_map(size)))
        if question.control is not None:
            beside = torch.from_numpy(question.control)[None]
            control.append(float(mass_in_box(ours[None], beside) / beside.double().mean()))
    pictures = {(id(question.model), question.group): number for number, question in enumerate(questions)}
    low, high, groups = grouped_bootstrap(np.array(values), [pictures[id(question.model), question.group] for question in questions])
    reference = max(float(np.mean(shares)) for shares in references.values())
    return Mark(
        exam, method, _models(questions), float(np.mean(values)), max(0.0, low), min(1.0, high), reference,
        passed=groups >= FEWEST and low > reference + 1e-9,
        questions=len(questions), unit=EXAMS[exam].unit, area=_mean(areas), pointing=_mean(hits),
        control=float(np.mean(control)) if control else None, silent=silent, seconds=seconds, pictures=groups,
    )  # fmt: skip


def evidence_share(question: Question, values: torch.Tensor) -> float:
    """How much of the positive part of a map (h, w), scaled to 1, lies where the evidence is, from 0 to 1.

    On a picture of tiles: the sum over tiles of the smaller of the map's share and the true one. Else the share inside the true area. A
    map without a positive part counts as an even one. Where parts of the picture were hidden, the share of random maps that are worse.
    """
    if question.hidden is not None:
        return question.hidden.share_beaten(values)
    truth = torch.from_numpy(question.truth)
    if question.cells is None:
        return float(mass_in_box(values[None], truth[None] > 0))
    in_map, in_truth = (tile_sums(area.double().clamp_min(0), question.cells) for area in (values, truth))
    return float(torch.minimum(_scaled(in_map), _scaled(in_truth)).sum())


def tile_sums(values: torch.Tensor, cells: tuple[int, int]) -> torch.Tensor:
    """The sum of a map (h, w) over each tile of an even grid: (rows, columns) float64."""
    return values.double().unflatten(1, (cells[1], -1)).unflatten(0, (cells[0], -1)).sum((1, 3))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _scaled(values: torch.Tensor) -> torch.Tensor:
    return values / values.sum() if bool(values.any()) else torch.full_like(values, 1 / values.numel())


def _exam(questions: Sequence[Question]) -> str:
    exams = {question.exam for question in questions}
    if len(exams) != 1:
        raise ExamError("There are no questions to answer." if not exams else f"Sit one exam at a time, not {' and '.join(sorted(exams))}.")
    return exams.pop()


def _models(questions: Sequence[Question]) -> str:
    return ", ".join(dict.fromkeys(question.model.card.name for question in questions))
