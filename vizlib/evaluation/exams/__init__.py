"""Exams for explanation methods: questions whose right answer is known, and the report on a whole school of them.

Nothing heavy is imported until it is needed: reading cards costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vizlib.evaluation.exams.cards import EXAMS, ExamCard
from vizlib.evaluation.exams.question import Mark, Question, Questions

if TYPE_CHECKING:
    from vizlib.evaluation.exams.beside_random_maps import faithfulness_questions
    from vizlib.evaluation.exams.grading import answer_exam, grade
    from vizlib.evaluation.exams.grid_pointing_game import grid_questions
    from vizlib.evaluation.exams.known_attribution import known_questions
    from vizlib.evaluation.exams.object_boxes import box_questions
    from vizlib.evaluation.exams.planted_evidence import planted_questions
    from vizlib.evaluation.exams.report import ExamReport
    from vizlib.evaluation.exams.report_data import write_csv, write_json
    from vizlib.evaluation.exams.report_html import write_html
    from vizlib.evaluation.exams.report_markdown import write_markdown
    from vizlib.evaluation.exams.runner import run_exams

# No module bears the name of a function: importing it would hide the function.
_HOMES = {
    "known_questions": "known_attribution",
    "planted_questions": "planted_evidence",
    "grid_questions": "grid_pointing_game",
    "box_questions": "object_boxes",
    "faithfulness_questions": "beside_random_maps",
    "grade": "grading",
    "answer_exam": "grading",
    "ExamReport": "report",
    "run_exams": "runner",
    "write_csv": "report_data",
    "write_html": "report_html",
    "write_json": "report_data",
    "write_markdown": "report_markdown",
}
__all__ = [
    "EXAMS", "ExamCard", "ExamReport", "Mark", "Question", "Questions", "answer_exam", "box_questions", "faithfulness_questions", "grade",
    "grid_questions", "known_questions", "planted_questions", "run_exams", "write_csv", "write_html", "write_json", "write_markdown",
]  # fmt: skip  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
