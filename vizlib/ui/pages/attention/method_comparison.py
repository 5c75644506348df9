"""The methods that read attention, side by side on one scale, and the rollout on its way from coarse to fine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.figures.numbers import percent
from vizlib.ui.components.photo_map import photo_map
from vizlib.ui.core import computations, formatting, job_slots
from vizlib.ui.core.url_state import resend, some_of
from vizlib.ui.widgets.downloads import download_button, file_stem
from vizlib.ui.widgets.explanation_job import submit_explanation
from vizlib.ui.widgets.method_options import MethodChoice, draw_options, read_options

if TYPE_CHECKING:
    from vizlib import Explanation
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.widgets.explanation import Answer

_READ_ATTENTION = ("attention", "rollout", "gradient_rollout", "relevance", "legrad")
_PER_ROW = 3


def methods_key(model: ModelChoice, url_state: UrlState) -> str:
    """Declare the chosen methods, at first all that fit, and the options of every one."""
    for name in _READ_ATTENTION:
        read_options(model, METHODS[name], url_state)
    fitting = [name for name in _READ_ATTENTION if model.card is not None and name in model.card.methods]
    return url_state.declare("methods", fitting, some_of(_READ_ATTENTION, len(_READ_ATTENTION)), ",".join)


def draw_methods(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState, opacity: float, colormap: str) -> None:
    """A column for each method, then the strip and the film of the rollout."""
    chosen = st.pills(
        "Methods", list(_READ_ATTENTION), key=resend(methods_key(model, url_state)), selection_mode="multi",
        format_func=lambda name: METHODS[name].title, label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    choices = [read_options(model, METHODS[name], url_state) for name in _READ_ATTENTION if name in chosen]
    jobs = {choice.method.name: submit_explanation(_slot(choice), model, choice.request(picture, fit), picture) for choice in choices}
    job_slots.wait_for(list(jobs.values()))
    for first in range(0, len(choices), _PER_ROW):
        for place, choice in zip(st.columns(_PER_ROW, gap="large"), choices[first : first + _PER_ROW], strict=False):
            with place:
                _draw_method(choice, jobs[choice.method.name])
    if choices:
        st.caption(
            "Each map is on its own scale, which shows its pattern best. “Maps below on one scale”, beside the picture, compares how "
            "strong they are; the most concentrated one then leaves little of the others. "
            "Methods with a gradient explain the model's own answer; to ask for another class, use Explore."
        )
    rollout = jobs.get("rollout")
    if rollout is not None and rollout.done and rollout.exception() is None:
        explanation = rollout.result().explanation
        if explanation is not None and explanation.stages:
            _draw_descent(explanation, picture, model, opacity, colormap)


def _slot(choice: MethodChoice) -> str:
    return f"attention.method.{choice.method.name}"


def _draw_method(choice: MethodChoice, job: Job[Answer] | None) -> None:
    method = choice.method
    st.markdown(f"**{method.title}**", help=f"{method.summary} [{method.paper}]({method.paper_url})")
    if method.options:
        draw_options(choice)
    else:
        st.button("No options", key=f"attention.options.{method.name}", icon=":material/tune:", disabled=True)
    answer = computations.result_or_status(_slot(choice), job, [choice.model])
    if answer is None:
        return
    if answer.explanation is None:
        st.info(formatting.plain(answer.refusal), icon=":material/block:")
        return
    photo_map(answer.payload, key=f"attention.method.{method.name}")
    explanation = answer.explanation
    facts = [f"{formatting.seconds(explanation.seconds)}"]
    if explanation.drawn_sink is not None:
        lies = "lies on" if method.name == "attention" else "ends in"
        facts.append(f"**{percent(explanation.drawn_sink)}** {lies} learned tokens or padding")
    if method.class_specific:
        facts.append(f"for {formatting.plain(explanation.label.split(',')[0])}")
    st.caption(" · ".join(facts))
    for note in explanation.notes:
        st.caption(note)


def _draw_descent(explanation: Explanation, picture: Picture, model: ModelChoice, opacity: float, colormap: str) -> None:
    from vizlib.figures.overlay import encode_jpeg
    from vizlib.figures.rollout_film import film_frames, gif

    frames = film_frames(explanation, opacity=opacity, colormap=colormap)
    st.markdown("#### The rollout on its way down: from the coarsest grid to the pixels")
    sizes = [f"{stage.shape[0]} × {stage.shape[1]}" for stage in explanation.stages] + ["pixels"]
    for place, frame, size in zip(st.columns(max(4, len(frames))), frames, sizes, strict=False):
        place.image(encode_jpeg(frame), width="stretch")
        place.caption(size)
    stem = file_stem(picture, model, "rollout")
    download_button(f"{stem}.gif", lambda: gif(frames), key="attention.gif", hint="The same pictures as a film.")
