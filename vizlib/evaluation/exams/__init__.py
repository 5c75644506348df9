"""Exams for explanation methods: questions whose right answer is known, and the report on a whole school of them.

Nothing heavy is imported until it is needed: reading cards costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vizlib.evaluation.exams.cards import EXAMS, ExamCard
from vizlib.evaluation.exams.question import Mark, Question, Questions

if TYPE_CHECKING:
    from vizlib.evaluation.exams.boxed_photographs import boxed
    from vizlib.evaluation.exams.by_construction import known
    from vizlib.evaluation.exams.collages import grid
    from vizlib.evaluation.exams.cut_outs import planted
    from vizlib.evaluation.exams.report import SchoolReport
    from vizlib.evaluation.exams.schooling import school
    from vizlib.evaluation.exams.sitting import mark, sit

# No module bears the name of a function: importing it would hide the function.
_HOMES = {
    "known": "by_construction",
    "planted": "cut_outs",
    "grid": "collages",
    "boxed": "boxed_photographs",
    "mark": "sitting",
    "sit": "sitting",
    "SchoolReport": "report",
    "school": "schooling",
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
