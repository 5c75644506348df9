"""The answer layer by layer: what the model's own head would say of every layer's tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.core import computations
from vizlib.ui.core.url_state import resend
from vizlib.ui.core.words import draw_text
from vizlib.ui.sections.logit_lens import SOURCE, draw_depth_answers
from vizlib.ui.sections.logit_lens_data import compute_depth_answers
from vizlib.ui.widgets.explanation import class_labels

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.pass_work import AttentionPass, PassRequest

ANSWER = -1


def depth_key(model: ModelChoice, url_state: UrlState) -> str:
    """Declare the class of the maps, at first the model's answer."""
    return url_state.declare(f"{model.name}.class", ANSWER, int, linked=not model.own)


def draw_depth(attention_pass: AttentionPass, model: ModelChoice, request: PassRequest, url_state: UrlState) -> None:
    """The chooser of the class, then the chart and the maps."""
    state, key = st.session_state, depth_key(model, url_state)
    labels = class_labels(attention_pass.ranking)
    if state[key] not in labels:
        state[key] = ANSWER
    draw_text("The head is made to read what each layer gives, as it reads the last one: look at where the answer comes up, and stays.")
    if labels:
        st.selectbox(
            "Class of the maps", [ANSWER, *labels], key=resend(key), width=320,
            format_func=lambda index: "the model's answer" if index == ANSWER else labels[index],
        )  # fmt: skip
    target = None if state[key] == ANSWER else state[key]
    work = partial(compute_depth_answers, request.picture, request.fit, target)
    answers = computations.compute_or_status("attention.depth", ("depth", request.picture.identity, request.fit, target), [model], work)
    if answers is not None:
        draw_depth_answers(answers, key="attention.depth")
        st.caption(SOURCE)
