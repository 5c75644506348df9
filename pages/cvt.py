"""CvT: windows that overlap, convolutions inside attention, and no table of positions."""

import streamlit as st

from vizlib.ui import cvt_sections, cvt_words, pvt_keys, pvt_stages, shell, studies, waiting, words
from vizlib.ui.address import Address
from vizlib.ui.pickers import pick_fit, pick_picture
from vizlib.ui.work import engine

arrived = shell.open_page(
    "cvt",
    "Convolution inside attention",
    "CvT makes its tokens from windows that overlap. Point at a cell of a stage: the window it sees, and the cells that see it, light up.",
)
engine()
address = Address("cvt", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = studies.pick_subject(address, ("cvt",), ["cvt_tiny50"])
with right:
    fit = pick_fit(address)
view = pvt_stages.view_key(address)

plain = studies.subject("vit_tiny50")
first, beside = pvt_stages.ask("cvt.stages", chosen, picture, fit), pvt_stages.ask("cvt.beside", plain, picture, fit)
maps = cvt_sections.ask_projections(chosen, picture, fit)
waiting.wait_for([first, beside])
made = studies.settled("cvt.stages", chosen, first)
if made is not None:
    other = studies.settled("cvt.beside", plain, beside)
    st.markdown(cvt_sections.overlap(made))
    pvt_stages.draw("cvt", made, other, chosen, picture, view)

    st.header("A convolution makes q, k and v", anchor=False)
    st.markdown(cvt_words.PROJECTION)
    waiting.wait_for([maps])
    projections = studies.settled("cvt.maps", chosen, maps)
    if projections is not None:
        cvt_sections.draw_projections(projections, chosen, picture)

        st.header("Keys on a squeezed grid", anchor=False)
        st.markdown(cvt_words.KEYS)
        keys = pvt_keys.ask("cvt.keys", chosen, picture, fit)
        waiting.wait_for([keys])
        grids = studies.settled("cvt.keys", chosen, keys)
        if grids is not None:
            pvt_keys.draw("cvt", grids, chosen, picture)
        cvt_sections.draw_squeezed(projections)

    st.header("No table of positions", anchor=False)
    st.markdown(cvt_words.MOVED)
    moves = [
        studies.settled(f"cvt.moves.{index}", subject, job)
        for index, (subject, job) in enumerate(cvt_sections.ask_moves(chosen, picture, fit))
    ]
    ready = [one for one in moves if one is not None]
    if len(ready) == len(moves):
        cvt_sections.draw_moves(ready, chosen, picture)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(cvt_words.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(words.about(chosen.card))
st.caption(f"{cvt_words.PAPER} The address in your browser restores this view; a picture of your own is not part of it.")
address.close()
