"""One model's column: its map over the picture, its answers, and what to take away."""

from __future__ import annotations

import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

import vizlib
from vizlib.engine.jobs import JobState
from vizlib.ui import words
from vizlib.ui.components.answers import answers
from vizlib.ui.components.photo_map import pack, photo_map
from vizlib.ui.own_card import OwnCard
from vizlib.ui.question import OWN, draw_method
from vizlib.ui.work import engine, visitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Explanation
    from vizlib.engine.jobs import Job
    from vizlib.ui.pickers import Look
    from vizlib.ui.pictures import Picture
    from vizlib.ui.question import Question
    from vizlib.ui.work import Answer, Request

PATIENCE = 0.25  # seconds a run waits for answers before it shows progress: most are there by then, and nothing flickers
TOP = 5
_log = logging.getLogger(__name__)


def ask(questions: Sequence[Question], picture: Picture, fit: str | None) -> dict[str, Job[Answer]]:
    """The jobs that answer the questions, by model; models whose weights would have to be fetched first are left out.

    A job that runs for the same question goes on; one for another question is replaced.
    """
    asked: dict[str, tuple[Request, Job[Answer]]] = st.session_state.setdefault("column.asked", {})
    requests = {question.card.name: question.request(picture, fit) for question in questions}
    for name in [name for name in asked if name not in requests]:
        asked.pop(name)[1].cancel()
    allowed: set[str] = st.session_state.setdefault("column.allowed", set())
    new = []
    for name, request in requests.items():
        known = asked.get(name)
        if (known is None or known[0] != request) and (name in allowed or engine().ready(request.model)):
            asked[name] = (request, engine().ask(visitor(), request, picture))
            new.append(asked[name][1])
    until = time.monotonic() + PATIENCE
    for job in new:
        job.wait(max(0.0, until - time.monotonic()))
    return {name: job for name, (_, job) in asked.items()}


def common_tops(jobs: dict[str, Job[Answer]]) -> dict[str, float]:
    """The upper end of one scale for all maps, for each unit that there is; in multiples of the unit."""
    tops: dict[str, float] = {}
    for job in jobs.values():
        made = job.result().map if job.state is JobState.DONE else None
        if made is not None:
            tops[made.unit] = max(made.peak, tops.get(made.unit, 0.0))
    return tops


def draw_column(
    question: Question,
    job: Job[Answer] | None,
    picture: Picture,
    fit: str | None,
    look: Look,
    tops: dict[str, float],
    *,
    narrow: bool = False,
) -> None:
    """Draw one model's column; ``tops`` are the upper ends of the common scales by unit, none where each map has its own."""
    card = question.card
    with st.container(gap="xsmall"):
        st.subheader(words.plain(card.title) if isinstance(card, OwnCard) else card.title, anchor=False)
        st.caption(words.facts(card))
    draw_method(question, narrow=narrow)
    answer = _settled(question, job, picture)
    if answer is None:
        return
    if answer.explanation is None:
        st.info(answer.refusal, icon=":material/block:")
    photo_map(answer.payload, key=f"map.{card.name}")
    if answer.explanation is not None:
        _draw_facts(answer.explanation)
    _draw_answers(question, answer)
    if answer.explanation is not None:
        _draw_takeaways(question, answer, picture, fit, look, tops)


def _settled(question: Question, job: Job[Answer] | None, picture: Picture) -> Answer | None:
    """The answer; where there is none, draw the photograph with the reason: not asked for, under way, stopped or failed."""
    name = question.card.name
    if job is not None and job.state is JobState.DONE:
        return job.result()
    if job is None:
        _draw_offer(question)
    elif not job.done:
        _follow(job, name)
    else:
        error = job.exception()
        if error is None:
            st.info("Stopped.", icon=":material/stop_circle:")
        elif isinstance(error, vizlib.VizlibError):
            st.error(str(error), icon=":material/error:")
        else:
            _log.error("%s could not be explained", name, exc_info=error)
            st.error("Something went wrong inside vizlib; the server's log says what.", icon=":material/error:")
        st.button("Try again", key=f"again.{name}", icon=":material/refresh:", on_click=_forget, args=(name,))
    photo_map(pack(picture, None), key=f"map.{name}")
    return None


@st.fragment(run_every=0.3)
def _follow(job: Job[Answer], name: str) -> None:
    """Show how far a job is until it ends; a page that is drawn again without it stops this."""
    if job.done:
        st.rerun()
    message = f"{job.progress.message or ('Waiting for other visitors' if engine().awake else 'Waking up')} …"
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.progress.fraction is None:
            st.markdown(f":material/hourglass_top: {message}")
        else:
            st.progress(job.progress.fraction, text=message)
        if st.button("Stop", key=f"stop.{name}", icon=":material/stop_circle:", type="tertiary"):
            job.cancel()
            st.rerun()


def _forget(name: str) -> None:
    st.session_state["column.asked"].pop(name, None)


def _draw_offer(question: Question) -> None:
    card = question.card
    if card.source == "official" and not card.url:
        st.info(f"{card.note} With a checkpoint of your own it works: choose that among the models.", icon=":material/block:")
        return
    source = urlsplit(card.url).hostname or "the Hugging Face hub"
    st.markdown(
        f"This model is not here yet. Its weights are **{words.megabytes(card)}**, fetched once from {source}; "
        f"their licence is **{card.licence}**. {words.linked(card.paper)}. {card.note}"
    )
    allow = st.session_state["column.allowed"].add
    st.button(f"Fetch {words.megabytes(card)}", key=f"fetch.{card.name}", icon=":material/download:", on_click=allow, args=(card.name,))


def _draw_facts(explanation: Explanation) -> None:
    facts = [f"Explained in {words.seconds(explanation.seconds)}."]
    if explanation.sink:
        facts.append(f"**{words.percent(explanation.sink)}** of the walk ends in learned tokens such as the class token, not in the image.")
    st.markdown(" ".join(facts))
    for note in explanation.notes:
        st.info(note, icon=":material/info:")


def _draw_answers(question: Question, answer: Answer) -> None:
    if not answer.ranking:
        st.info("This model has no classes: it gives features, not answers. The map needs none.", icon=":material/info:")
        return
    state, key, name = st.session_state, question.target_key, question.card.name
    # A class that the model does not have is refused; another one must then be within reach.
    pickable = question.method.class_specific and (answer.explanation is not None or question.target is not None)
    chosen = answer.explanation.target if pickable and answer.explanation else None
    rows = answer.ranking[:TOP] + [row for row in answer.ranking[TOP:] if row.index == chosen]

    def take() -> None:
        picked = state[f"answers.{name}"].pick
        state[key] = OWN if picked == answer.ranking[0].index else picked

    agnostic = f"{question.method.title} gives the same map for all of them." if not question.method.class_specific else ""
    hint = "Choose the one to explain." if pickable else agnostic if answer.explanation is not None else ""
    st.markdown(f"**Answers.** {hint}")
    answers(rows, chosen if isinstance(chosen, int) else None, pickable=pickable, key=f"answers.{name}", on_pick=take)
    if pickable and answer.explanation is not None:
        labels = _class_words(answer)
        st.selectbox(
            "Class to explain",
            list(labels),
            key=key,
            format_func=lambda index: labels[index],
            help="Type to search all classes of this model.",
        )


def _class_words(answer: Answer) -> dict[int, str]:
    """A text for every class, in the order of the alphabet: each its own and never another one, for the browser answers with it."""
    rows = sorted(answer.ranking, key=lambda row: row.label.lower())
    alike = Counter(row.label for row in rows)
    return {OWN: "The model's own answer"} | {
        row.index: row.label if alike[row.label] == 1 else f"{row.label} ({row.index})" for row in rows
    }


def _draw_takeaways(question: Question, answer: Answer, picture: Picture, fit: str | None, look: Look, tops: dict[str, float]) -> None:
    explanation, data, name = answer.explanation, answer.map, question.card.name
    if explanation is None or data is None:
        return

    def png() -> bytes:
        from vizlib.figures.overlay import encode_png, overlay

        low = data.lowest * data.one if look.scale == "stretch" else 0.0
        high = tops.get(data.unit, data.peak) * data.one
        return encode_png(overlay(explanation.image, explanation.map, opacity=look.opacity, colormap=look.colormap, low=low, high=high))

    shown = Path(question.card.title).stem if isinstance(question.card, OwnCard) else name
    stem = f"{Path(picture.title).stem}-{shown}-{explanation.method}".lower().replace(" ", "_")
    with st.container(horizontal=True):
        st.download_button("PNG", png, f"{stem}.png", "image/png", key=f"png.{name}", icon=":material/image:", on_click="ignore")
        st.download_button(
            "NPZ",
            explanation.npz,
            f"{stem}.npz",
            "application/octet-stream",
            key=f"npz.{name}",
            icon=":material/data_array:",
            on_click="ignore",
            help="Arrays for NumPy: the map on the model's input and on the picture, what was seen, the logits.",
        )
    with st.expander("Use it from Python", icon=":material/code:"):
        target = question.target if question.method.class_specific else None
        st.code(
            words.snippet(question.card, picture.code, explanation.method, target, fit, question.changed, look.opacity, look.colormap),
            language="python",
            wrap_lines=True,
        )
    with st.expander("The method and the model", icon=":material/menu_book:"):
        st.markdown(
            f"**{question.method.title}.** {question.method.summary} [{question.method.paper}]({question.method.paper_url})\n\n"
            f"{words.about(question.card)}"
        )
