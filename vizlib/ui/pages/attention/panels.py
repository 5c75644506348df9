"""What stands below the canvas: one panel at a time, so that only what is looked at is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.core.url_state import one_of
from vizlib.ui.pages.attention.artifact_tokens import draw_artifact_tokens, threshold_key
from vizlib.ui.pages.attention.forward_pass import resend
from vizlib.ui.pages.attention.head_ablation import draw_head_ablation, head_ablation_keys
from vizlib.ui.pages.attention.head_matrix import draw_heads
from vizlib.ui.pages.attention.method_comparison import draw_methods, methods_key
from vizlib.ui.pages.attention.selected_token import draw_selected_token

if TYPE_CHECKING:
    from vizlib import ModelCard
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.attention.canvas import Keys, SelectedToken
    from vizlib.ui.pages.attention.forward_pass import AttentionPass

PANELS = {
    "held": ":material/push_pin: The held patch",
    "heads": ":material/grid_view: All heads",
    "surgery": ":material/content_cut: Switch heads off",
    "methods": ":material/compare: Methods",
    "tokens": ":material/stethoscope: Odd tokens",
}


def declare(card: ModelCard, url_state: UrlState) -> str:
    """Declare all that the panels keep in the address, so that a link lasts until the model is there; the key of the chosen panel."""
    head_ablation_keys(card.name, url_state)
    methods_key(card, url_state)
    threshold_key(url_state)
    return url_state.declare("panel", next(iter(PANELS)), one_of(tuple(PANELS)))


def draw_panel(
    key: str,
    scene: AttentionPass,
    held: SelectedToken | None,
    keys: Keys,
    card: ModelCard,
    picture: Picture,
    fit: str | None,
    url_state: UrlState,
) -> None:
    """The chooser and the panel that it names."""
    opacity, colormap = st.session_state[keys.opacity], st.session_state[keys.colors]
    resend(key)
    chosen = st.segmented_control(
        "Below the canvas", list(PANELS), key=key, format_func=PANELS.__getitem__, required=True, label_visibility="collapsed"
    )
    if chosen == "held":
        draw_selected_token(scene, held, card.name, picture)
    elif chosen == "heads":
        draw_heads(scene, card.name, colormap)
    elif chosen == "surgery":
        draw_head_ablation(scene, held, card.name, picture, url_state)
    elif chosen == "methods":
        draw_methods(card, picture, fit, url_state, opacity, colormap)
    elif chosen == "tokens":
        draw_artifact_tokens(scene, card.name, picture, url_state, colormap)
