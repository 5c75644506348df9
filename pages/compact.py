"""Compact Transformers: convolutional tokens, sequence pooling, and what they do for small data."""

import streamlit as st

from vizlib.ui.core import formatting, navigation
from vizlib.ui.core.computations import pick_model
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.compact.sections import PAPER, draw_columns, draw_curves, draw_ideas, members, submit_columns
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "compact",
    "Can a transformer learn from little data?",
    "Compact Transformers change two things in ViT: **convolutions** make the tokens, and **sequence pooling** reads all of them instead "
    "of a class token. Point at a token: above, the pixels it takes in; below, how much each model reads it.",
)
service()
url_state = UrlState("compact", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    one = pick_model(url_state, ("compact",), ("cct_tiny50", "compact_vit_tiny50"), "Beside ViT")
with right:
    fit = pick_fit(url_state)
group = members(one)
columns, drifts = submit_columns(group, picture, fit)
made = draw_columns(url_state, group, columns, picture, fit)
if made is not None:
    draw_ideas(made, group, drifts)
draw_curves()
st.caption(f"{formatting.linked(PAPER)}. The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
