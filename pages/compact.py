"""Compact Transformers: convolutional tokens, sequence pooling, and what they do for small data."""

import streamlit as st

from vizlib.ui import shell, words
from vizlib.ui.address import Address
from vizlib.ui.compact_sections import PAPER, ask, draw_columns, draw_curves, draw_ideas, members
from vizlib.ui.pickers import pick_fit, pick_picture
from vizlib.ui.studies import pick_subject
from vizlib.ui.work import engine

arrived = shell.open_page(
    "compact",
    "Can a transformer learn from little data?",
    "Compact Transformers change two things in ViT: **convolutions** make the tokens, and **sequence pooling** reads all of them instead "
    "of a class token. Point at a token: above, the pixels it takes in; below, how much each model reads it.",
)
engine()
address = Address("compact", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    one = pick_subject(address, ("compact",), ("cct_tiny50", "compact_vit_tiny50"), "Beside ViT")
with right:
    fit = pick_fit(address)
group = members(one)
columns, drifts = ask(group, picture, fit)
made = draw_columns(address, group, columns, picture, fit)
if made is not None:
    draw_ideas(made, group, drifts)
draw_curves()
st.caption(f"{words.linked(PAPER)}. The address in your browser restores this view; a picture of your own is not part of it.")
address.close()
