"""CvT: windows that overlap, convolutions inside attention, and no table of positions."""

import streamlit as st

from vizlib.ui.core import computations, formatting, job_slots, navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.cvt import sections, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "cvt",
    "Convolution inside attention.",
    "CvT makes its tokens from windows that overlap. Point at a cell of a stage: the window it sees, and the cells that see it, light up.",
)
service()
url_state = UrlState("cvt", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = computations.pick_model(url_state, ("cvt",), ["cvt_tiny50"])
with right:
    fit = pick_fit(url_state)
view = feature_pyramid.view_key(url_state)

plain = computations.model_choice("vit_tiny50")
first, beside = (
    feature_pyramid.submit_feature_pyramid("cvt.stages", chosen, picture, fit),
    feature_pyramid.submit_feature_pyramid("cvt.beside", plain, picture, fit),
)
maps = sections.submit_projections(chosen, picture, fit)
job_slots.wait_for([first, beside])
made = computations.result_or_status("cvt.stages", chosen, first)
if made is not None:
    other = computations.result_or_status("cvt.beside", plain, beside)
    st.markdown(sections.overlap(made))
    feature_pyramid.draw_feature_pyramid("cvt", made, other, chosen, picture, view)

    st.header("A convolution makes q, k and v", anchor=False)
    st.markdown(text.PROJECTION)
    job_slots.wait_for([maps])
    projections = computations.result_or_status("cvt.maps", chosen, maps)
    if projections is not None:
        sections.draw_projections(projections, chosen, picture)

        st.header("Keys on a squeezed grid", anchor=False)
        st.markdown(text.KEYS)
        keys = reduced_keys.submit_reduced_keys("cvt.keys", chosen, picture, fit)
        job_slots.wait_for([keys])
        grids = computations.result_or_status("cvt.keys", chosen, keys)
        if grids is not None:
            reduced_keys.draw_reduced_keys("cvt", grids, chosen, picture)
        sections.draw_squeezed(projections)

    st.header("No table of positions", anchor=False)
    st.markdown(text.MOVED)
    moves = [
        computations.result_or_status(f"cvt.moves.{index}", subject, job)
        for index, (subject, job) in enumerate(sections.submit_shuffle_shift(chosen, picture, fit))
    ]
    ready = [one for one in moves if one is not None]
    if len(ready) == len(moves):
        sections.draw_shuffle_shift(ready, chosen, picture)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(text.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(formatting.about(chosen.card))
st.caption(f"{text.PAPER} The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
