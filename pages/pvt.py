"""PVT: what each of four scales holds, what attention costs at them, and what a pyramid is good for."""

import streamlit as st

from vizlib.ui.core import computations, formatting, job_slots, navigation
from vizlib.ui.core.model_service import engine
from vizlib.ui.core.url_state import Address
from vizlib.ui.pages.pvt import attention_cost, segmentation, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "pvt",
    "A pyramid without convolution",
    "PVT looks at the picture at several scales, where ViT has one. Point at a cell of a stage: what it covers in the others lights up.",
)
engine()
address = Address("pvt", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = computations.pick_subject(address, ("pvt", "pvt_v2"), ["pvt_tiny50"])
with right:
    fit = pick_fit(address)
view, groups = feature_pyramid.view_key(address), segmentation.groups_key(address)

plain = computations.subject("vit_tiny50")
first, beside = feature_pyramid.ask("pvt.stages", chosen, picture, fit), feature_pyramid.ask("pvt.beside", plain, picture, fit)
keys = reduced_keys.ask("pvt.keys", chosen, picture, fit)
job_slots.wait_for([first, beside])
made = computations.settled("pvt.stages", chosen, first)
if made is not None:
    other = computations.settled("pvt.beside", plain, beside)
    feature_pyramid.draw("pvt", made, other, chosen, picture, view)

    st.header("Keys from a reduced grid", anchor=False)
    st.markdown(text.KEYS)
    job_slots.wait_for([keys])
    grids = computations.settled("pvt.keys", chosen, keys)
    if grids is not None:
        reduced_keys.draw("pvt", grids, chosen, picture)
        st.header("What it costs", anchor=False)
        st.markdown(text.COST)
        attention_cost.draw(grids, chosen)

    st.header("Why it matters for dense prediction", anchor=False)
    st.markdown(text.DENSE)
    found = [
        computations.settled(f"pvt.field.{index}", subject, job)
        for index, (subject, job) in enumerate(segmentation.ask(chosen, picture, fit, max(made.levels[0]["grid"])))
    ]
    ready = [one for one in found if one is not None]
    if ready and found[0] is not None:
        segmentation.draw(ready, picture, groups)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(text.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(formatting.about(chosen.card))
st.caption(f"{text.PAPERS} The address in your browser restores this view; a picture of your own is not part of it.")
address.close()
