"""Faithfulness beside random maps: photographs of which parts are hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.errors import ExamError
from vizlib.evaluation.exams.hidden_cells import HiddenCells
from vizlib.evaluation.exams.photographs import CONFIDENT, QUESTIONS, input_as_picture, load_photographs
from vizlib.evaluation.exams.question import Question, Questions
from vizlib.evaluation.metrics.sensitivity_n import METRIC
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.protocol import CELLS
from vizlib.evaluation.shared_material import SharedMaterial

if TYPE_CHECKING:
    from vizlib.zoo.model import Model


def faithfulness_questions(model: Model, images: Any, seed: int = 0, *, count: int = QUESTIONS) -> Questions:
    """Up to ``count`` questions: photographs that are answered with confidence, each for its own answer, drawn with ``seed``.

    Each is measured once for all methods. ExamError when there is no such photograph.
    """
    shown = load_photographs(model, images, seed)
    sure = np.random.default_rng(seed).permutation(np.flatnonzero(shown.sure))[:count]
    if not len(sure):
        raise ExamError(f"None of these {len(shown.x)} photographs is answered by {model.card.name} with a probability of {CONFIDENT:.0%}.")
    questions, steps = [], Steps(len(sure))
    for number, row in enumerate(sure.tolist()):
        x, target = shown.x[row : row + 1], int(shown.answers[row])
        with steps.within(1):
            hidden = _measured(model, x, target)
        words = (
            f"A photograph that the model answers with {model.label(target)}: {len(hidden.subsets)} times some of its {CELLS} x {CELLS} "
            "cells are hidden."
        )
        truth = np.zeros(tuple(x.shape[2:]))
        questions.append(Question("faithfulness", input_as_picture(model, x), x, model, target, truth, words, number, hidden=hidden))
    return Questions(questions, shown.skipped)


def _measured(model: Model, x: torch.Tensor, target: int) -> HiddenCells:
    material = SharedMaterial(model, x, target)
    material.steps = Steps(sum(material.subset_cost().values()))
    with torch.inference_mode(mode=False), torch.no_grad():
        random = METRIC.of_controls(material).mean(0)[1:]
        drops = material.subset_drops()
    return HiddenCells(material.subsets.cpu(), drops.cpu(), random.cpu())
