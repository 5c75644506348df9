"""CvT: windows that overlap, convolutions inside attention, and no table of positions."""

import streamlit as st

from vizlib.ui.core import computations, formatting, job_slots, navigation
from vizlib.ui.core.model_service import engine
from vizlib.ui.core.url_state import Address
from vizlib.ui.pages.cvt import sections, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "cvt",
    "Convolution inside attention",
    "CvT makes its tokens from windows that overlap. Point at a cell of a stage: the window it sees, and the cells that see it, light up.",
)
engine()
address = Address("cvt", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = computations.pick_subject(address, ("cvt",), ["cvt_tiny50"])
with right:
    fit = pick_fit(address)
view = feature_pyramid.view_key(address)

plain = computations.subject("vit_tiny50")
first, beside = feature_pyramid.ask("cvt.stages", chosen, picture, fit), feature_pyramid.ask("cvt.beside", plain, picture, fit)
maps = sections.ask_projections(chosen, picture, fit)
job_slots.wait_for([first, beside])
made = computations.settled("cvt.stages", chosen, first)
if made is not None:
    other = computations.settled("cvt.beside", plain, beside)
    st.markdown(sections.overlap(made))
    feature_pyramid.draw("cvt", made, other, chosen, picture, view)

    st.header("A convolution makes q, k and v", anchor=False)
    st.markdown(text.PROJECTION)
    job_slots.wait_for([maps])
    projections = computations.settled("cvt.maps", chosen, maps)
    if projections is not None:
        sections.draw_projections(projections, chosen, picture)

        st.header("Keys on a squeezed grid", anchor=False)
        st.markdown(text.KEYS)
        keys = reduced_keys.ask("cvt.keys", chosen, picture, fit)
        job_slots.wait_for([keys])
        grids = computations.settled("cvt.keys", chosen, keys)
        if grids is not None:
            reduced_keys.draw("cvt", grids, chosen, picture)
        sections.draw_squeezed(projections)

    st.header("No table of positions", anchor=False)
    st.markdown(text.MOVED)
    moves = [
        computations.settled(f"cvt.moves.{index}", subject, job)
        for index, (subject, job) in enumerate(sections.ask_moves(chosen, picture, fit))
    ]
    ready = [one for one in moves if one is not None]
    if len(ready) == len(moves):
        sections.draw_moves(ready, chosen, picture)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(text.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(formatting.about(chosen.card))
st.caption(f"{text.PAPER} The address in your browser restores this view; a picture of your own is not part of it.")
address.close()
