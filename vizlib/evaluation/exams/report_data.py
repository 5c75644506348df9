"""The report on exams as data for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from vizlib.evaluation.exams.cards import EXAMS
from vizlib.evaluation.exams.report import COLUMNS, FORMAT
from vizlib.files import harmless_cell, write_whole

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from vizlib.evaluation.exams.report import ExamReport


def as_json(report: ExamReport) -> str:
    """Everything but the pictures, as JSON text; NaN is null."""
    exams = {name: asdict(EXAMS[name]) for name in dict.fromkeys(mark.exam for mark in report.marks)}
    skipped = [dict(zip(("exam", "model", "what", "why"), row, strict=True)) for row in report.skipped]
    content = {"format": FORMAT, "about": report.about, "exams": exams, "marks": report.table(), "skipped": skipped}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(report: ExamReport) -> str:
    """The table of marks as CSV text, a header line of COLUMNS first."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless_cell(value) for name, value in row.items()} for row in report.table())
    return buffer.getvalue()


def write_json(report: ExamReport, path: str | os.PathLike[str]) -> Path:
    """Write everything but the pictures; the path. VizlibError where it cannot be written."""
    return write_whole(path, as_json(report))


def write_csv(report: ExamReport, path: str | os.PathLike[str]) -> Path:
    """Write the table of marks; the path. VizlibError where it cannot be written."""
    return write_whole(path, as_csv(report))
