"""Attention: every head of every layer under the mouse, and what the answer loses without them."""

import streamlit as st

from vizlib.ui.core import formatting, job_slots, navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.attention.canvas import canvas_keys, draw_canvas, pick_model, snippet
from vizlib.ui.pages.attention.forward_pass import result_or_status, submit_pass
from vizlib.ui.pages.attention.panels import declare, draw_panel
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "attention",
    "Where does every patch look?",
    "Move over the photograph: bright is where the patch under the mouse looks. Press play to see it layer by layer.",
)
service()
url_state = UrlState("attention", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    card = pick_model(url_state)
with right:
    fit = pick_fit(url_state)
keys = canvas_keys(url_state)
panel_key = declare(card, url_state)

if "lineage" in card.refusals:
    st.info(f"{card.title or card.name} cannot be shown here: {card.refusals['lineage']}.", icon=":material/block:")
elif not job_slots.may_load(card.name):
    job_slots.offer_download(card, "Choose another model, or take this one with random weights from Python.")
else:
    scene = result_or_status("scene", submit_pass(card.name, picture, fit))
    if scene is not None and scene.refusal:
        st.info(f"{card.title or card.name} cannot be shown here: {scene.refusal}", icon=":material/block:")
    elif scene is not None:
        held = draw_canvas(scene, keys)
        draw_panel(panel_key, scene, held, keys, card, picture, fit, url_state)

        with st.expander("Use it from Python", icon=":material/code:"):
            st.code(snippet(scene, card.name, picture.code, fit, held), language="python", wrap_lines=True)

with st.expander("The model", icon=":material/menu_book:"):
    st.markdown(formatting.about(card))
st.caption("The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
