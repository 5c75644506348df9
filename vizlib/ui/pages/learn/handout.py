"""The lesson on a sheet of paper: one page A4 of questions about a picture, and the answers on the second, as one file of HTML."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from vizlib.ui.pages.learn.steps import CLICK, STEPS, right_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.lesson.outcome import Outcome
    from vizlib.ui.pages.learn.steps import Step

_STYLE = """
@page { size: A4; margin: 0 }
* { box-sizing: border-box }
body { margin: 0; background: #fff; color: #1b2327; font: 9pt/1.3 system-ui, "DejaVu Sans", Arial, sans-serif }
.sheet { width: 210mm; height: 296.5mm; padding: 12mm 14mm 10mm; overflow: hidden; position: relative }
.sheet + .sheet { break-before: page }
h1 { font-size: 15pt; margin: 0 0 1mm } .lead { margin: 0 0 3mm; color: #47545a }
.name { float: right; color: #47545a }
ol { margin: 0; padding-left: 6mm } li { margin: 0 0 2.3mm; break-inside: avoid } li b { font-weight: 650 }
.options { color: #1b2327 } .options span { display: inline-block; margin-right: 3.5mm; white-space: nowrap }
.options span::before { content: ""; display: inline-block; width: 2.6mm; height: 2.6mm; border: .3mm solid #1b2327; margin-right: 1.2mm;
  vertical-align: -.3mm }
.picture { float: right; width: 44mm; margin: 0 0 3mm 5mm; position: relative }
.picture img { width: 100%; display: block } .picture small { position: absolute; top: 100%; left: 0; font-size: 7.5pt }
.picture i { position: absolute; inset: 0; --line: rgb(255 255 255 / .75) 0 .2mm, transparent .2mm;
  background: linear-gradient(to right, var(--line)), linear-gradient(to bottom, var(--line)) }
.picture u { position: absolute; border: .8mm solid #e08a00 }
.questions { font-size: 11pt } .questions li { margin-bottom: 3.6mm } .questions .picture { width: 66mm }
footer { position: absolute; left: 14mm; right: 14mm; bottom: 6mm; color: #47545a; font-size: 7.5pt }
@media screen { body { background: #ddd } .sheet { background: #fff; margin: 5mm auto } }
"""


def handout_html(outcomes: Sequence[Outcome], photo: bytes, title: str) -> str:
    """The file: ``outcomes`` of all steps, and the JPEG of the picture as the model sees it."""
    questions = "".join(_question(step, outcome) for step, outcome in zip(STEPS, outcomes, strict=True))
    answers = "".join(_answer(step, outcome) for step, outcome in zip(STEPS, outcomes, strict=True))
    grid = next(outcome for step, outcome in zip(STEPS, outcomes, strict=True) if step.kind == CLICK)
    name = escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>vizlib: a lesson on {name}</title><style>{_STYLE}</style>'
        f'</head><body><section class="sheet questions"><span class="name">Name: ______________________</span><h1>How a model sees: '
        f"{name}</h1>"
        '<p class="lead">Ten predictions. Decide before you look; the second page has what was measured.</p>'
        f"{_picture(photo, grid, right=False)}<ol>{questions}</ol>{_footer(1)}</section>"
        f'<section class="sheet"><h1>Answers: {name}</h1><p class="lead">Measured by vizlib with the models that it ships: 1 and 2 '
        f"on a written date, all others on this picture.</p>"
        f"{_picture(photo, grid, right=True)}<ol>{answers}</ol>{_footer(2)}</section></body></html>"
    )


def _question(step: Step, outcome: Outcome) -> str:
    if step.kind == CLICK:
        options = "Mark it in the picture."
    else:
        options = f'<span class="options">{"".join(f"<span>{escape(option)}</span>" for option in outcome.options)}</span>'
    return f"<li><b>{escape(_ended(step.title))}</b> {escape(step.question)}<br>{options}</li>"


def _ended(title: str) -> str:
    return title if title.endswith("?") else f"{title}."


def _answer(step: Step, outcome: Outcome) -> str:
    title, right = step.title.rstrip("?"), right_words(outcome)
    words = (f"<b>{escape(title)}: {escape(right)}.</b>", escape(step.happened(outcome)), escape(step.explained(outcome)))
    return f"<li>{' '.join(words)} <i>{escape(step.paper.rpartition(', https')[0])}</i></li>"


def _picture(photo: bytes, outcome: Outcome, *, right: bool) -> str:
    assert outcome.grid is not None  # noqa: S101  its options are patches
    rows, columns = outcome.grid
    marks = ""
    for cell in outcome.right if right and not outcome.all_right else ():
        row, column = divmod(cell, columns)
        place = f"left:{100 * column / columns}%;top:{100 * row / rows}%;width:{100 / columns}%;height:{100 / rows}%"
        marks += f'<u style="{place}"></u>'
    note = f"<small>Framed: the answer to {1 + [step.kind for step in STEPS].index(CLICK)}.</small>" if marks else ""
    size = f"background-size:calc(100% / {columns}) 100%, 100% calc(100% / {rows})"
    source = base64.b64encode(photo).decode()
    return f'<div class="picture"><img alt="" src="data:image/jpeg;base64,{source}"><i style="{size}"></i>{marks}{note}</div>'


def _footer(page: int) -> str:
    return f"<footer>vizlib, a lesson in ten steps · page {page} of 2</footer>"
