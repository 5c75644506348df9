"""Inductive biases: change the picture, and see which architecture holds on to its answer and whose features move along."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.biases import sections
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "biases",
    "What does each architecture assume?",
    "Move the slider: the picture changes, and every model answers at once. Look at whose answer holds.",
)
service()
url_state = UrlState("biases", arrived=arrived)
picture = pick_picture(url_state, "coffee")  # which all models know
left, right = st.columns([4, 1], gap="medium")
with left:
    models = sections.pick_models(url_state)
with right:
    fit = pick_fit(url_state)
claim, question = sections.pick_experiment(url_state, picture)
view = sections.view_keys(url_state)
if models:
    jobs = sections.submit_responses(models, question, picture, fit)
    claimed = st.container()
    answers = sections.results_or_status(models, jobs)
    with claimed:
        sections.draw_claim(claim, answers, models)
    if answers:
        at = sections.draw_lab(claim, question, answers)
        sections.draw_curves(view, answers, at)
        sections.draw_files(answers, picture)
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(sections.snippet(models, question, picture, fit), language="python", wrap_lines=True)
else:
    st.info("Choose a model to ask.", icon=":material/touch_app:")
st.caption("The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
