"""The school report: every mark, as a table and as files."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import VizlibError
from vizlib.evaluation.exams.cards import EXAMS

if TYPE_CHECKING:
    import os

    import numpy as np

    from vizlib.evaluation.exams.question import Mark

FORMAT = 1
COLUMNS = (
    "exam", "method", "model", "value", "low", "high", "reference", "passed", "questions", "unit", "ratio", "area", "pointing", "control",
    "silent", "seconds", "refused",
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

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write everything but the pictures; the path. VizlibError where it cannot be written."""
        exams = {name: asdict(EXAMS[name]) for name in dict.fromkeys(mark.exam for mark in self.marks)}
        skipped = [dict(zip(("exam", "model", "what", "why"), one, strict=True)) for one in self.skipped]
        told = {"format": FORMAT, "about": self.about, "exams": exams, "marks": self.table(), "skipped": skipped}
        return write(path, json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the table; the path. VizlibError where it cannot be written."""
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.table())
        return write(path, buffer.getvalue())

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one page that needs nothing else; the path. VizlibError where it cannot be written."""
        from vizlib.evaluation.exams.report_html import page

        return write(path, page(self))

    def to_markdown(self, path: str | os.PathLike[str]) -> Path:
        """Write the tables as Markdown; the path. VizlibError where it cannot be written."""
        from vizlib.evaluation.exams.report_markdown import markdown

        return write(path, markdown(self))


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file whole or not at all; its path."""
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(target)
    except OSError as error:
        raise VizlibError(f"The report cannot be written to {target}: {error.strerror or error}.") from error
    return target


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
