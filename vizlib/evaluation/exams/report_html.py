"""The school report as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.exams.cards import EXAMS, FEWEST, KNOWN
from vizlib.evaluation.exams.question import interval_words
from vizlib.evaluation.exams.summary import summary, unmarked
from vizlib.figures.html_page import escaped as _safe
from vizlib.figures.html_page import html_page, png_address
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import counted, percent
from vizlib.files import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from vizlib.evaluation.exams.question import Mark
    from vizlib.evaluation.exams.report import ExamReport
    from vizlib.evaluation.exams.summary import Average

_CSS = Path(__file__).parent / "report.css"
_WIDE, _HIGH, _EDGE = 128, 14, 4  # of a scale from 0 to 1, in pixels
_KNOWN = " The known models are not the same for all methods: attention is asked of transformers."


def write_html(report: ExamReport, path: str | os.PathLike[str]) -> Path:
    """Write one page that needs nothing else; the path. VizlibError where it cannot be written."""
    return write_whole(path, report_page(report))


def report_page(report: ExamReport) -> str:
    """The whole page as text."""
    exams = [name for name in EXAMS if any(mark.exam == name for mark in report.marks)]
    titles = {name: short_name(name) for name in dict.fromkeys(mark.model for mark in report.marks)}
    body = [_head(report, exams, titles), *(_exam(report, name, titles) for name in exams), _left_out(report, titles)]
    return html_page("Explanation methods at school", "".join(body), css=_CSS.read_text(encoding="utf-8"))


def _head(report: ExamReport, exams: list[str], titles: Mapping[str, str]) -> str:
    heads = "".join(f"<th>{_safe(EXAMS[name].title)}</th>" for name in exams)
    rows = "".join(
        f"<tr><th>{_safe(METHODS[method].title)}</th>{''.join(f'<td>{_average(averages.get(name))}</td>' for name in exams)}</tr>"
        for method, averages in summary(report.marks).items()
    )
    settings = ", ".join(f"{name}: {value}" for name, value in report.about.items())
    named = "".join(f"; {title} is {name}" for name, title in titles.items() if title != name)
    return (
        "<header><h1>Explanation methods at school</h1><p>Every question has an answer that is known. The number is the mean mark, from 0 "
        "to 1, which each exam below defines; the bar its 95 % interval; the grey line what a map gets that knows nothing: the better "
        f"of an even one and a Gaussian around the middle. A method passes on a model where its whole interval, of {FEWEST} pictures at "
        f"least, lies above that.{_KNOWN if 'known' in exams else ''}</p></header>"
        f"<div class='wide'><table><thead><tr><th>mean over models</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="exactly">{_safe(settings + named)}</p>'
    )


def _average(average: Average | None) -> str:
    if average is None:
        return '<span class="none">no mark</span>'
    kind = "good" if average.passed == average.models else "bad" if average.passed == 0 else "some"
    return (
        f"{_scale(average.value, average.low, average.high, average.reference, kind)} <b>{average.value:.2f}</b> "
        f'<span class="exactly">({average.interval})</span><br>'
        f'<span class="{kind}">passed on {average.passed} of {average.models}</span>'
    )


def _exam(report: ExamReport, exam: str, titles: Mapping[str, str]) -> str:
    card, marks = EXAMS[exam], [mark for mark in report.marks if mark.exam == exam]
    models = list(dict.fromkeys(mark.model for mark in marks))
    by_place = {(mark.method, mark.model): mark for mark in marks}
    heads = "".join(
        f"<th>{_safe(titles.get(model, model))}<br><span class='exactly'>{_question_count(marks, model)}</span></th>" for model in models
    )
    rows = "".join(
        f"<tr><th>{_safe(METHODS[method].title)}</th>{''.join(f'<td>{_mark(by_place.get((method, model)))}</td>' for model in models)}</tr>"
        for method in dict.fromkeys(mark.method for mark in marks)
    )
    paper = f' <a href="{card.paper_url}">{_safe(card.paper)}</a>' if card.paper else ""
    return (
        f"<section><h2>{_safe(card.title)}</h2><p>{_safe(card.summary)}</p>{_example(report, exam)}"
        f"<div class='wide'><table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{_legend(marks)}"
        f'<p class="exactly">{_safe(card.how)}{paper}</p></section>'
    )


def _legend(marks: Sequence[Mark]) -> str:
    """What the small words under the marks of an exam mean, and the known models' ideas."""
    given = [mark for mark in marks if not mark.refused]
    words = []
    if any(not math.isnan(mark.pointing) for mark in given):
        words.append("Pointing: the share of maps whose highest pixel lies where the evidence is; where several are highest, their share.")
    if any(mark.control is not None for mark in given):
        words.append("Control: the share of the map on the control over its share of the picture, 1 for an even map.")
    if any(mark.silent for mark in given):
        words.append("Silent: maps without a positive part, which count as even ones.")
    ideas = [
        f"<li><b>{_safe(model)}</b>: {_safe(KNOWN[model])}</li>" for model in dict.fromkeys(mark.model for mark in marks) if model in KNOWN
    ]
    return (f'<p class="exactly">{" ".join(words)}</p>' if words else "") + (f"<ul>{''.join(ideas)}</ul>" if ideas else "")


def _question_count(marks: Sequence[Mark], model: str) -> str:
    own = [mark for mark in marks if mark.model == model and not mark.refused]
    return own[0].counted if own else "no questions"


def _mark(mark: Mark | None) -> str:
    if mark is None:
        return ""
    if mark.refused:
        return f'<span class="none" title="{_safe(mark.refused)}">no mark</span>'
    kind = "good" if mark.passed else "bad"
    beside = [] if math.isnan(mark.pointing) else [f"pointing {percent(mark.pointing)}"]
    beside += [f"control {mark.control:.2f}"] if mark.control is not None else []
    beside += [f"{mark.silent} silent"] if mark.silent else []
    return (
        f"{_scale(mark.value, mark.low, mark.high, mark.reference, kind)} <b class='{kind}'>{mark.value:.2f}</b> "
        f'<span class="exactly">({mark.interval})<br>{_safe(", ".join(beside))}</span>'
    )


def _scale(value: float, low: float, high: float, reference: float, kind: str) -> str:
    """A value with its interval and its reference on a line from 0 to 1."""
    x, left, right, beside = (round(_EDGE + (_WIDE - 2 * _EDGE) * min(1.0, max(0.0, share)), 1) for share in (value, low, high, reference))
    middle = _HIGH / 2
    return (
        f'<svg width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}" role="img" '
        f'aria-label="{value:.2f}, from {interval_words(low, high, reference)}, reference {reference:.2f}">'
        f'<line class="axis" x1="{_EDGE}" y1="{middle}" x2="{_WIDE - _EDGE}" y2="{middle}"/>'
        f'<line class="reference" x1="{beside}" y1="0" x2="{beside}" y2="{_HIGH}"/>'
        f'<line class="interval {kind}" x1="{left}" y1="{middle}" x2="{right}" y2="{middle}"/>'
        f'<circle class="{kind}" cx="{x}" cy="{middle}" r="3.5"/></svg>'
    )


def _example(report: ExamReport, exam: str) -> str:
    for example in report.examples:
        if example.exam == exam:
            return (
                f'<figure><img alt="{_safe(example.words)}" src="{png_address(example.picture)}">'
                f"<figcaption>{_safe(example.words)}</figcaption></figure>"
            )
    return ""


def _left_out(report: ExamReport, titles: Mapping[str, str]) -> str:
    without = unmarked(report.marks)
    count = sum(each.count for each in without)
    skipped = dict.fromkeys(
        f"<b>{_safe(EXAMS[exam].title)}, {_safe(titles.get(model, model))}</b>: {_safe(what)}: {_safe(why)}"
        for exam, model, what, why in report.skipped
    )
    parts = [
        f"<details><summary>{title}</summary><ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul></details>"
        for title, lines in (
            (f"{counted(count, 'mark')} not given, and why", [_safe(each.text(titles)) for each in without]),
            ("Not asked, and why", skipped),
        )
        if lines
    ]
    return f"<section><h2>Left out</h2>{''.join(parts)}</section>" if parts else ""
