"""The exam on the page: which exams and methods, sat live on a few photographs, and the school report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.limits import limits
from vizlib.engine.work_order import Lane
from vizlib.evaluation.exams.cards import EXAMS, FEWEST, KNOWN
from vizlib.evaluation.exams.summary import unmarked
from vizlib.ui.core import computations, formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.pictures import SAMPLES, handed_in, sample
from vizlib.ui.core.url_state import resend
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.attribution import text
from vizlib.ui.pages.attribution.exam_work import compute_exam_report
from vizlib.ui.pages.attribution.scheduler import SLOT
from vizlib.ui.widgets.downloads import download_row, file_stem
from vizlib.ui.widgets.uploader import uploader

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from vizlib.evaluation.exams import ExamReport, Mark
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.widgets.method_options import MethodChoice

SLOT_EXAM = f"{SLOT}exam"
QUICK = 4  # images through the model for one map, up to which a method takes the exam unasked
MOST_FILES = 24


@dataclass(frozen=True)
class ExamRequest:
    """What was asked for: a model, methods, exams, and the pictures by what tells them from others."""

    model: ModelChoice
    methods: tuple[str, ...]
    exams: tuple[str, ...]
    pictures: tuple[Picture, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others of the same model."""
        return (self.methods, self.exams, tuple(picture.identity for picture in self.pictures))


def draw_exam(model: ModelChoice, picture: Picture, choices: Mapping[str, MethodChoice]) -> None:
    """Choose, start, follow, and read the report; nothing runs before it is asked for."""
    heading("The exam, where the right answer is known")
    draw_text(
        "On a picture nobody knows what the model really used. In an exam it is known, by construction or by measurement: look at which "
        "methods do better than an even map and a blob in the middle."
    )
    state = st.session_state
    offered = [name for name, card in EXAMS.items() if card.needs != "boxes"]
    exams_key, methods_key = f"{SLOT_EXAM}.exams", f"{SLOT_EXAM}.methods"
    state.setdefault(exams_key, [name for name in offered if EXAMS[name].unasked])
    fitting = text.in_order(model.card.methods if model.card else ())
    chosen = [name for name in state.get(methods_key, [name for name in choices if METHODS[name].passes <= QUICK]) if name in fitting]
    state[methods_key] = chosen
    exams = st.pills("Exams", offered, key=resend(exams_key), selection_mode="multi", format_func=lambda name: EXAMS[name].title, wrap=True)
    methods = st.pills(
        "Who sits it", fitting, key=resend(methods_key), selection_mode="multi", format_func=lambda name: METHODS[name].title,
        help=f"Each question costs a map. At first those of the methods above sit it that send at most {QUICK} pictures through the model.",
        wrap=True,
    )  # fmt: skip
    other = [METHODS[name].title for name in methods if name in choices and choices[name].changed]
    if other:
        st.caption(f"With the options that methods come with, not with those chosen above: {', '.join(other)}.")
    pictures = _pictures(picture) if any(EXAMS[name].needs for name in exams) else ()
    request = ExamRequest(
        model, tuple(name for name in fitting if name in methods), tuple(name for name in offered if name in exams), pictures
    )
    st.button(
        "Sit the exam", icon=":material/school:", type="primary", key=f"{SLOT_EXAM}.start", disabled=not (exams and methods),
        on_click=here(partial(state.__setitem__, f"{SLOT_EXAM}.requested", request)),
    )  # fmt: skip
    started: ExamRequest | None = state.get(f"{SLOT_EXAM}.requested")
    if started is None or started.model.identity != model.identity:
        with st.expander("What is asked, and how the answer is known", icon=":material/quiz:"):
            st.markdown(
                "\n".join(f"- **{card.title}.** {card.summary} {card.how} {_paper(card)}" for card in map(EXAMS.__getitem__, offered))
            )
        return
    report = _report_or_status(started)
    if report is not None:
        _draw_report(report, started)


def _pictures(picture: Picture) -> tuple[Picture, ...]:
    """The photographs that questions are made of: the one above, the visitor's further ones, and the samples."""
    state = st.session_state
    uploads = state.setdefault(f"{SLOT_EXAM}.files", {"pictures": [], "errors": []})

    def take(files: list[UploadedFile]) -> None:
        uploads["errors"] = []
        for file in files:
            if len(uploads["pictures"]) >= MOST_FILES:
                uploads["errors"].append(f"{file.name}: {MOST_FILES} pictures are the most here; `vizlib exam` takes any number.")
            elif file.size > limits().picture_mb << 20:
                uploads["errors"].append(f"{file.name} has {file.size / 1e6:.0f} MB, over the limit of {limits().picture_mb} MB.")
            else:
                try:
                    uploads["pictures"].append(handed_in(file.name, file.getvalue()))
                except vizlib.ImageError as error:
                    uploads["errors"].append(str(error))

    with st.expander(
        f"Pictures for the questions: {'' if picture.credit else 'the one above, '}{len(SAMPLES)} samples and "
        f"{len(uploads['pictures'])} added",
        icon=":material/photo_library:",
    ) as box:
        uploader(
            box, f"{SLOT_EXAM}.upload", "Add pictures", take, type=["image/*"], accept_multiple_files=True,
            max_upload_size=limits().picture_mb,
            help="Of things that the model knows: questions are made of pictures that it answers with confidence.",
        )  # fmt: skip
        if uploads["errors"]:
            st.error("Left out. " + " ".join(formatting.plain(error) for error in uploads["errors"]), icon=":material/broken_image:")
    pictures = (*uploads["pictures"], picture, *(sample(name) for name in SAMPLES))
    return tuple({each.identity: each for each in pictures}.values())


def _report_or_status(request: ExamRequest) -> ExamReport | None:
    images: dict[str, np.ndarray] = {}
    for picture in request.pictures:
        name, number = picture.title, 2
        while name in images:
            name, number = f"{picture.title} ({number})", number + 1
        images[name] = picture.pixels
    work = partial(compute_exam_report, request.methods, request.exams, images=images)
    return computations.compute_or_status(SLOT_EXAM, ("exam", *request.key), [request.model], work, keep=False, lane=Lane.HEAVY)


def _draw_report(report: ExamReport, request: ExamRequest) -> None:
    from vizlib.figures.overlay import encode_png

    marks = {(mark.exam, mark.model, mark.method): mark for mark in report.marks}
    titles = {name: name if name in KNOWN else request.model.display_name for name in dict.fromkeys(mark.model for mark in report.marks)}
    for exam in request.exams:
        models = list(dict.fromkeys(mark.model for mark in report.marks if mark.exam == exam))
        st.subheader(EXAMS[exam].title, anchor=False)
        examples = [example for example in report.examples if example.exam == exam]
        left, right = st.columns([1, 4], gap="medium") if examples else (None, st.container())
        if left is not None:
            left.image(encode_png(examples[0].picture), width="stretch", output_format="PNG")
            left.caption(formatting.plain(examples[0].words))
        with right:
            st.markdown(f"{EXAMS[exam].summary} *{EXAMS[exam].unit.capitalize()}*, with its 95\u00a0% interval:")
            st.markdown(_table(marks, exam, titles, models, request.methods))
            ideas = [f"- {formatting.plain(name)}: {KNOWN[name]}" for name in models if name in KNOWN]
            if ideas:
                st.caption("\n".join(ideas))
    reasons = [f"- {formatting.plain(each.text(titles))}" for each in unmarked(report.marks)]
    reasons += [
        f"- {EXAMS[exam].title}, {formatting.plain(titles[model])}, {formatting.plain(what)}: {formatting.plain(why)}"
        for exam, model, what, why in report.skipped
    ]
    if reasons:
        with st.expander("What is left out, and why", icon=":material/block:"):
            st.markdown("\n".join(reasons))
    st.caption(
        "A check: the whole interval lies above what an even map and a Gaussian in the middle reach on the same questions, and it rests "
        f"on {FEWEST} pictures or more; a cross: it does not. With few questions intervals are wide: `vizlib exam` on the command line "
        "takes as many as you like, and boxes too."
    )
    files = [(end, partial(report_bytes, report, end), "") for end in ("html", "csv", "json")]
    download_row(file_stem("exam", request.model), SLOT_EXAM, *files)


def _table(marks: dict[tuple[str, str, str], Mark], exam: str, titles: dict[str, str], models: list[str], methods: tuple[str, ...]) -> str:
    """A row a method and a column a model, and below them what maps that know nothing get."""
    rows = [f"| **{METHODS[name].title}** | {' | '.join(_cell(marks.get((exam, model, name))) for model in models)} |" for name in methods]
    blind = []
    for model in models:
        graded = [mark for name in methods if (mark := marks.get((exam, model, name))) is not None and not mark.refused]
        blind.append(f"{graded[0].reference:.2f}, {graded[0].counted}" if graded else "")
    head = f"| | {' | '.join(formatting.plain(titles[model]) for model in models)} |\n|---|{'---|' * len(models)}\n"
    return head + "\n".join(rows) + f"\n| *even map or blob* | {' | '.join(blind)} |"


def _cell(mark: Mark | None) -> str:
    if mark is None:
        return ""
    if mark.refused:
        return ":gray[no mark]"
    sign = ":green[:material/check:]" if mark.passed else ":red[:material/close:]"
    interval = mark.interval.replace(" ", "\u00a0")  # a narrow column breaks before it, not in it
    return f"{sign} **{mark.value:.2f}** ({interval})"


def report_bytes(report: ExamReport, end: str) -> bytes:
    """The report as the bytes of a file of this kind: "html", "csv" or "json"."""
    from vizlib.evaluation.exams.report_data import as_csv, as_json
    from vizlib.evaluation.exams.report_html import report_page

    return {"html": report_page, "csv": as_csv, "json": as_json}[end](report).encode()


def _paper(card: Any) -> str:
    return f"[{card.paper}]({card.paper_url})." if card.paper else ""
