"""The school report: every mark, as a table and as files."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from vizlib.evaluation.exams.question import Mark

FORMAT = 1
COLUMNS = (
    "exam", "method", "model", "value", "low", "high", "reference", "passed", "questions", "pictures", "unit", "ratio", "area", "pointing",
    "control", "silent", "seconds", "refused",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Example:
    """One question of an exam as a picture with its truth drawn in."""

    exam: str
    words: str
    picture: np.ndarray


@dataclass
class ExamReport:
    """The ``marks`` of methods in exams on models, in the order in which they were given.

    ``skipped`` holds (exam, model, what, why) of what no question was made of; ``about`` the settings that the marks depend on.
    """

    marks: list[Mark]
    skipped: list[tuple[str, str, str, str]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def table(self) -> list[dict[str, Any]]:
        """A row for each mark with COLUMNS, None for what it does not have."""
        rows = [asdict(mark) | {"ratio": mark.ratio} for mark in self.marks]
        return [{name: _plain(row[name]) for name in COLUMNS} for row in rows]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
