"""The exam, sat by one model beside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.evaluation.exams import ExamReport

QUESTIONS = 12  # of each exam for each model: a minute or two, and the intervals say how sure that is


def compute_exam_report(
    methods: Sequence[str], exams: Sequence[str], model: Model, *, images: Mapping[str, np.ndarray], progress: Progress
) -> ExamReport:
    """The report of ``methods`` that sat ``exams`` with questions made of these images, uint8 (H, W, 3) by name."""
    from vizlib.evaluation.exams import run_exams

    progress(0, None, "Making the questions")
    return run_exams([model], list(methods), list(exams), images, progress=progress, questions=QUESTIONS)
