"""The school report as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.exams.cards import EXAMS, FEWEST, KNOWN
from vizlib.evaluation.exams.summary import summary, unmarked
from vizlib.files import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from vizlib.evaluation.exams.question import Mark
    from vizlib.evaluation.exams.report import ExamReport

PASSED = "✓"
WORDS = (
    "Explanation methods on questions whose right answer is known. Each cell holds the mean mark, from 0 to 1, its 95 % interval, and on "
    f"how many models the method passed: there the interval, of {FEWEST} pictures at least, lies above what an even map and a Gaussian "
    "around the middle get for the same questions. The known models are not the same for all methods: attention is asked of transformers."
)


def write_markdown(report: ExamReport, path: str | os.PathLike[str]) -> Path:
    """Write the tables as Markdown; the path. VizlibError where it cannot be written."""
    return write_whole(path, report_markdown(report))


def report_markdown(report: ExamReport) -> str:
    """The mean over models, then each exam by model, then what was left out."""
    exams = [name for name in EXAMS if any(mark.exam == name for mark in report.marks)]
    averages = summary(report.marks)
    rows = []
    for method, by_exam in averages.items():
        cells = []
        for exam in exams:
            average = by_exam.get(exam)
            cells.append(f"{average.value:.2f} ({average.interval}), {average.passed} of {average.models}" if average else "")
        rows.append([METHODS[method].title, *cells])
    parts = [
        "# The exam\n",
        f"{WORDS}\n",
        _table(["method", *(EXAMS[name].title for name in exams)], rows),
    ]
    for exam in exams:
        parts += _exam(exam, [mark for mark in report.marks if mark.exam == exam])
    parts += _left_out(report)
    settings = ", ".join(f"{name}: {value}" for name, value in report.about.items())
    return "\n".join([*parts, f"Settings: {settings}. Made by `vizlib exam`."]) + "\n"


def _exam(exam: str, marks: Sequence[Mark]) -> list[str]:
    card = EXAMS[exam]
    models = list(dict.fromkeys(mark.model for mark in marks))
    by_place = {(mark.method, mark.model): mark for mark in marks}
    rows = []
    for method in dict.fromkeys(mark.method for mark in marks):
        cells = [_cell(by_place[method, model]) if (method, model) in by_place else "" for model in models]
        if any(cells):
            rows.append([METHODS[method].title, *cells])
    given = [mark for mark in marks if not mark.refused]
    beside = {model: [mark for mark in given if mark.model == model] for model in models}
    rows.append(["*reference*", *(f"{of[0].reference:.2f}" if of else "" for of in beside.values())])
    rows.append(["*questions*", *(str(of[0].questions) if of else "0" for of in beside.values())])
    lines = [f"\n## {card.title}\n", f"{card.summary} {card.how}" + (f" [{card.paper}]({card.paper_url})" if card.paper else "") + "\n"]
    ideas = [f"- {model}: {KNOWN[model]}" for model in models if model in KNOWN]
    return [*lines, _table(["method", *models], rows), *(["\n".join(ideas) + "\n"] if ideas else [])]


def _cell(mark: Mark) -> str:
    if mark.refused:
        return ""
    control = "" if mark.control is None else f"; control {mark.control:.2f}"
    return f"{mark.value:.2f} ({mark.interval}){control}{' ' + PASSED if mark.passed else ''}"


def _left_out(report: ExamReport) -> list[str]:
    reasons = [f"- {each.text()}" for each in unmarked(report.marks)]
    skipped = dict.fromkeys(f"- {EXAMS[exam].title}, {model}: {what}: {why}" for exam, model, what, why in report.skipped)
    lines = []
    if reasons:
        lines += ["\n## Without a mark\n", *reasons, ""]
    if skipped:
        lines += ["\n## Not asked\n", *skipped, ""]
    return lines


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
