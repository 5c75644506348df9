"""Explore: a picture, some models, and for each what it answered and where that came from."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.model_service import engine
from vizlib.ui.core.url_state import Address
from vizlib.ui.pages.explore.model_column import ask, common_tops, draw_column
from vizlib.ui.widgets.method_options import read_question
from vizlib.ui.widgets.pickers import pick_fit, pick_look, pick_models, pick_picture

arrived = navigation.open_page(
    "explore",
    "What did the model look at?",
    "Bright is where an answer came from: see whether the models look at the same things, then ask for another class.",
)
engine()
address = Address("explore", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    cards = pick_models(address)
with right:
    fit = pick_fit(address)
questions = [read_question(card, address) for card in cards]
jobs = ask(questions, picture, fit)
look = pick_look(address, several=len(cards) > 1)

if not cards:
    st.info("Choose a model to see what it looks at.", icon=":material/visibility:")
tops = common_tops(jobs) if look.scale == "one" else {}
per_row = 3 if len(cards) == 3 else 2
for first in range(0, len(questions), per_row):
    for place, question in zip(st.columns(per_row, gap="large"), questions[first : first + per_row], strict=False):
        with place:
            draw_column(question, jobs.get(question.card.name), picture, fit, look, tops, narrow=per_row > 2)

st.caption("The address in your browser restores this view; a picture or a checkpoint of your own is not part of it.")
address.close()
