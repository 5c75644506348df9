"""Explore: a picture, some models, and for each what it answered and where that came from."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.explore.model_column import common_tops, draw_column, submit_explanations
from vizlib.ui.widgets.method_options import read_method_choice
from vizlib.ui.widgets.pickers import pick_fit, pick_map_style, pick_models, pick_picture

arrived = navigation.open_page(
    "explore",
    "What did the model look at?",
    "Bright is where an answer came from: see whether the models look at the same things, then ask for another class.",
)
service()
url_state = UrlState("explore", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    cards = pick_models(url_state)
with right:
    fit = pick_fit(url_state)
questions = [read_method_choice(card, url_state) for card in cards]
jobs = submit_explanations(questions, picture, fit)
look = pick_map_style(url_state, several=len(cards) > 1)

if not cards:
    st.info("Choose a model to see what it looks at.", icon=":material/visibility:")
tops = common_tops(jobs) if look.scale == "one" else {}
per_row = 3 if len(cards) == 3 else 2
for first in range(0, len(questions), per_row):
    for place, question in zip(st.columns(per_row, gap="large"), questions[first : first + per_row], strict=False):
        with place:
            draw_column(question, jobs.get(question.card.name), picture, fit, look, tops, narrow=per_row > 2)

st.caption("The address in your browser restores this view; a picture or a checkpoint of your own is not part of it.")
url_state.write()
