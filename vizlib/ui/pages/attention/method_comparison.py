"""The methods that read attention, side by side on one scale, and the rollout on its way from coarse to fine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.ui.components.photo_map import photo_map
from vizlib.ui.core import formatting, job_slots
from vizlib.ui.core.model_service import service, visitor
from vizlib.ui.core.url_state import some_of
from vizlib.ui.pages.attention.forward_pass import SLOT, resend, result_or_status
from vizlib.ui.widgets.method_options import MethodChoice, draw_options, read_options

if TYPE_CHECKING:
    from vizlib import Explanation, ModelCard
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_service import Answer
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

_READ_ATTENTION = ("attention", "rollout", "gradient_rollout", "relevance", "legrad")
_PER_ROW = 3


def methods_key(card: ModelCard, url_state: UrlState) -> str:
    """Declare the chosen methods, at first all that fit, and the options of every one."""
    for name in _READ_ATTENTION:
        read_options(card, METHODS[name], url_state)
    fitting = [name for name in _READ_ATTENTION if name in card.methods]
    return url_state.declare("methods", fitting, some_of(_READ_ATTENTION, len(_READ_ATTENTION)), ",".join)


def draw_methods(card: ModelCard, picture: Picture, fit: str | None, url_state: UrlState, opacity: float, colormap: str) -> None:
    """A column for each method, then the strip and the film of the rollout."""
    known = list(_READ_ATTENTION)
    key = methods_key(card, url_state)
    resend(key)
    chosen = st.pills(
        "Methods", known, key=key, selection_mode="multi", format_func=lambda name: METHODS[name].title, label_visibility="collapsed"
    )
    questions = [read_options(card, METHODS[name], url_state) for name in known if name in chosen]
    jobs = _submit(questions, picture, fit)
    for first in range(0, len(questions), _PER_ROW):
        for place, question in zip(st.columns(_PER_ROW, gap="large"), questions[first : first + _PER_ROW], strict=False):
            with place:
                _draw_method(question, jobs[question.method.name])
    if questions:
        st.caption(
            "“Maps below on one scale”, beside the photograph, compares how strong they are; without it each shows its own pattern best. "
            "Methods with a gradient explain the model's own answer; to ask for another class, use Explore."
        )
    rollout = jobs.get("rollout")
    if rollout is not None and rollout.done and rollout.exception() is None:
        explanation = rollout.result().explanation
        if explanation is not None and explanation.stages:
            _draw_descent(explanation, picture, card, opacity, colormap)


def _submit(questions: list[MethodChoice], picture: Picture, fit: str | None) -> dict[str, Job[Answer]]:
    jobs: dict[str, Job[Answer]] = {}
    for question in questions:
        request, name = question.request(picture, fit), question.method.name
        jobs[name] = job_slots.submit(f"{SLOT}method.{name}", request, partial(service().ask, f"{visitor()}.{name}", request, picture))
    job_slots.wait_for(list(jobs.values()))
    return jobs


def _draw_method(question: MethodChoice, job: Job[Answer]) -> None:
    method = question.method
    st.markdown(f"**{method.title}**", help=f"{method.summary} [{method.paper}]({method.paper_url})")
    if method.options:
        draw_options(question)
    else:
        st.button("No options", key=f"attention.options.{method.name}", icon=":material/tune:", disabled=True)
    answer = result_or_status(f"method.{method.name}", job)
    if answer is None:
        return
    if answer.explanation is None:
        st.info(answer.refusal, icon=":material/block:")
        return
    photo_map(answer.payload, key=f"attention.method.{method.name}")
    explanation = answer.explanation
    facts = [f"{formatting.seconds(explanation.seconds)}"]
    if explanation.sink is not None:
        facts.append(f"**{formatting.percent(explanation.sink)}** ends in learned tokens")
    if method.class_specific:
        facts.append(f"for {explanation.label.split(',')[0]}")
    st.caption(" · ".join(facts))
    for note in explanation.notes:
        st.caption(note)


def _draw_descent(explanation: Explanation, picture: Picture, card: ModelCard, opacity: float, colormap: str) -> None:
    from vizlib.figures.overlay import encode_jpeg
    from vizlib.figures.rollout_film import film_frames, gif

    frames = film_frames(explanation, opacity=opacity, colormap=colormap)
    st.markdown("#### The rollout on its way down: from the coarsest grid to the pixels")
    sizes = [f"{stage.shape[0]} × {stage.shape[1]}" for stage in explanation.stages] + ["pixels"]
    for place, frame, size in zip(st.columns(max(4, len(frames))), frames, sizes, strict=False):
        place.image(encode_jpeg(frame), width="stretch")
        place.caption(size)
    stem = f"{Path(picture.title).stem}-{card.name}-rollout".lower().replace(" ", "_")
    st.download_button(
        "GIF",
        lambda: gif(frames),
        f"{stem}.gif",
        "image/gif",
        key="attention.gif",
        icon=":material/gif_box:",
        on_click="ignore",
        help="The same pictures as a film.",
    )
