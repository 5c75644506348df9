"""The canvas, and below it one panel at a time, so that only what is looked at is computed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.numbers import percent
from vizlib.ui.core import computations, formatting
from vizlib.ui.core.contents import heading
from vizlib.ui.core.url_state import one_of, resend
from vizlib.ui.pages.attention.artifact_tokens import draw_artifact_tokens, threshold_key
from vizlib.ui.pages.attention.canvas import canvas_keys, draw_canvas, opening_layer, snippet
from vizlib.ui.pages.attention.depth_answers import depth_key, draw_depth
from vizlib.ui.pages.attention.forward_picture import draw_forward_picture
from vizlib.ui.pages.attention.head_ablation import draw_head_ablation, head_ablation_keys
from vizlib.ui.pages.attention.head_matrix import draw_heads
from vizlib.ui.pages.attention.likeness import draw_head_plane, draw_likeness, plane_key
from vizlib.ui.pages.attention.method_comparison import draw_methods, methods_key
from vizlib.ui.pages.attention.pass_work import PassRequest, compute_pass
from vizlib.ui.pages.attention.selected_token import draw_selected_token
from vizlib.ui.widgets.picture_picker import second_key
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Prediction
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.canvas import Keys, SelectedToken
    from vizlib.ui.pages.attention.pass_work import AttentionPass

WITHOUT_WEIGHTS = "Choose another model, or take this one with random weights from Python."
PANELS = {
    "token": ":material/push_pin: The held patch",
    "pass": ":material/account_tree: The whole pass",
    "heads": ":material/grid_view: All heads",
    "depth": ":material/timeline: Answer by layer",
    "ablation": ":material/content_cut: Switch heads off",
    "methods": ":material/compare: Methods",
    "tokens": ":material/stethoscope: Odd tokens",
    "plane": ":material/scatter_plot: Queries and keys",
    "other": ":material/join_inner: Another picture",
}


def draw_page(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """The canvas with its panel, or the reason why a model has none."""
    keys, panel_key = canvas_keys(url_state), declare(model, url_state)
    if model.card is not None and "lineage" in model.card.refusals:
        _refuse(model, f"{model.card.refusals['lineage']}.")
        return
    request = PassRequest(model.identity, picture, fit)
    attention_pass = computations.compute_or_status(
        "attention.pass", ("attention", picture.identity, fit), [model], partial(compute_pass, request), otherwise=WITHOUT_WEIGHTS
    )
    if attention_pass is None:
        return
    if attention_pass.refusal:
        _refuse(model, attention_pass.refusal)
        return
    if attention_pass.ranking:
        st.markdown(answer_words(model.display_name, attention_pass.ranking))
    selected = draw_canvas(attention_pass, keys, model, request)
    draw_panel(panel_key, attention_pass, selected, keys, model, request, url_state)
    draw_snippet(snippet(attention_pass, model, picture, fit, selected))


def answer_words(name: str, ranking: Sequence[Prediction]) -> str:
    """What a model answers, and what it would say next."""
    first, *others = ranking[:3]
    said = f"{formatting.plain(name)} answers **{_label(first)}** ({percent(first.probability)})"
    after = ", ".join(f"{_label(row)} ({percent(row.probability)})" for row in others)
    return f"{said}, then {after}." if after else f"{said}."


def _label(prediction: Prediction) -> str:
    return formatting.plain(prediction.label.split(",")[0])


def _refuse(model: ModelChoice, reason: str) -> None:
    st.info(f"{formatting.plain(model.display_name)} cannot be shown here: {formatting.plain(reason)}", icon=":material/block:")


def _shown_head(attention_pass: AttentionPass, keys: Keys) -> tuple[int, int]:
    """The layer and the head that the canvas was last known to show; the mean is of no head, so the first stands for it."""
    layer, head = st.session_state[keys.layer], st.session_state[keys.head]
    layer = layer if 0 <= layer < len(attention_pass.layers) else opening_layer(attention_pass)
    return layer, head if 0 <= head < attention_pass.layers[layer].heads else 0


def declare(model: ModelChoice, url_state: UrlState) -> str:
    """Declare all that the panels keep in the address, so that a link lasts until the model is there; the key of the chosen panel."""
    head_ablation_keys(model, url_state)
    methods_key(model, url_state)
    threshold_key(url_state)
    depth_key(model, url_state)
    plane_key(url_state)
    second_key(url_state)
    return url_state.declare("panel", next(iter(PANELS)), one_of(tuple(PANELS)))


def draw_panel(
    key: str,
    attention_pass: AttentionPass,
    selected: SelectedToken | None,
    keys: Keys,
    model: ModelChoice,
    request: PassRequest,
    url_state: UrlState,
) -> None:
    """The chooser and the panel that it names."""
    opacity, colormap = st.session_state[keys.opacity], st.session_state[keys.colors]
    heading("Look closer", sub=True)
    chosen = st.segmented_control(
        "Below the canvas",
        list(PANELS),
        key=resend(key),
        format_func=PANELS.__getitem__,
        required=True,
        label_visibility="collapsed",
        wrap=True,
    )
    if chosen == "token":
        draw_selected_token(attention_pass, selected, model, request)
    elif chosen == "pass":
        draw_forward_picture(attention_pass, selected, model, request)
    elif chosen == "heads":
        draw_heads(attention_pass, model, request, colormap)
    elif chosen == "depth":
        draw_depth(attention_pass, model, request, url_state)
    elif chosen == "ablation":
        draw_head_ablation(attention_pass, selected, model, request, url_state)
    elif chosen == "methods":
        draw_methods(model, request.picture, request.fit, url_state, opacity, colormap)
    elif chosen == "tokens":
        draw_artifact_tokens(attention_pass, model, request, url_state, colormap)
    elif chosen == "plane":
        draw_head_plane(attention_pass, selected, _shown_head(attention_pass, keys), model, request, url_state)
    elif chosen == "other":
        draw_likeness(attention_pass, selected, model, request, url_state)
