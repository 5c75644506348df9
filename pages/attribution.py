"""Attribution: every method's map of one answer, how far each can be trusted, and what the answer really rests on."""

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.attribution import downloads as files
from vizlib.ui.pages.attribution import exam, region, sections
from vizlib.ui.pages.attribution import method_detail as depth
from vizlib.ui.pages.attribution.scheduler import SLOT, ExplainRequest, submit_answer
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "attribution",
    "Why this answer?",
    "A dozen methods explain one answer, and they differ: look at the badge under each map before you believe it.",
)
service()
url_state = UrlState("attribution", arrived=arrived)
picture = pick_picture(url_state, "coffee")  # which all models know
left, middle, right = st.columns([4, 6, 2], gap="medium")
with left:
    subject = sections.pick_model(url_state)
with right:
    fit = pick_fit(url_state)
questions = sections.pick_methods(url_state, subject)
view = sections.View.of_address(url_state, list(questions))
job = submit_answer(subject, picture, fit)
with middle:
    answered = sections.wait_for_answer(subject, job)
if answered is not None:
    with middle:
        asked, goal = sections.pick_goal(view, answered)
    closer = st.session_state[view.depth]
    asking = ExplainRequest(subject, picture, fit, goal, {name: question.options for name, question in questions.items()})
    if questions:
        board = sections.scheduler_for(asking, list(questions), closer, prove=sections.pick_proof(subject))
        sections.draw_map_grid(board, answered, view, closer)
        sections.draw_scale_words(subject)
        sections.draw_agreement(board, view)
        depth.draw_method_detail(board, answered, view, questions)
    else:
        st.info("Choose a method above.", icon=":material/touch_app:")
    region.draw_region(asking, answered, st.session_state.get(f"{SLOT}board"))
    exam.draw_exam(subject, picture, list(questions))
    if questions:
        files.draw_files(board, answered, view, asked, questions)
st.caption("The address in your browser restores this view; a picture, a brushed region or a model of your own is not part of it.")
url_state.write()
