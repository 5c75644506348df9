"""Exams for explanation methods: questions whose right answer is known, and the report on a whole school of them.

Nothing heavy is imported until it is needed: reading cards costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vizlib.evaluation.exams.cards import EXAMS, ExamCard
from vizlib.evaluation.exams.question import Mark, Question, Questions

if TYPE_CHECKING:
    from vizlib.evaluation.exams.grading import mark, sit
    from vizlib.evaluation.exams.grid_pointing_game import grid
    from vizlib.evaluation.exams.known_attribution import known
    from vizlib.evaluation.exams.object_boxes import boxed
    from vizlib.evaluation.exams.planted_evidence import planted
    from vizlib.evaluation.exams.report import SchoolReport
    from vizlib.evaluation.exams.runner import school

# No module bears the name of a function: importing it would hide the function.
_HOMES = {
    "known": "known_attribution",
    "planted": "planted_evidence",
    "grid": "grid_pointing_game",
    "boxed": "object_boxes",
    "mark": "grading",
    "sit": "grading",
    "SchoolReport": "report",
    "school": "runner",
}
__all__ = [
    "EXAMS", "ExamCard", "Mark", "Question", "Questions", "SchoolReport", "boxed", "grid", "known", "mark", "planted", "school", "sit",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
