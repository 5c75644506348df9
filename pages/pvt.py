"""PVT: what each of four scales holds, what attention costs at them, and what a pyramid is good for."""

import streamlit as st

from vizlib.ui.core import computations, formatting, job_slots, navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.pvt import attention_cost, segmentation, text
from vizlib.ui.sections import feature_pyramid, reduced_keys
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "pvt",
    "A pyramid without convolution.",
    "PVT looks at the picture at several scales, where ViT has one. Point at a cell of a stage: what it covers in the others lights up.",
)
service()
url_state = UrlState("pvt", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = computations.pick_model(url_state, ("pvt", "pvt_v2"), ["pvt_tiny50"])
with right:
    fit = pick_fit(url_state)
view, groups = feature_pyramid.view_key(url_state), segmentation.groups_key(url_state)

plain = computations.model_choice("vit_tiny50")
first, beside = (
    feature_pyramid.submit_feature_pyramid("pvt.stages", chosen, picture, fit),
    feature_pyramid.submit_feature_pyramid("pvt.beside", plain, picture, fit),
)
keys = reduced_keys.submit_reduced_keys("pvt.keys", chosen, picture, fit)
job_slots.wait_for([first, beside])
made = computations.result_or_status("pvt.stages", chosen, first)
if made is not None:
    other = computations.result_or_status("pvt.beside", plain, beside)
    feature_pyramid.draw_feature_pyramid("pvt", made, other, chosen, picture, view)

    st.header("Keys from a reduced grid", anchor=False)
    st.markdown(text.KEYS)
    job_slots.wait_for([keys])
    grids = computations.result_or_status("pvt.keys", chosen, keys)
    if grids is not None:
        reduced_keys.draw_reduced_keys("pvt", grids, chosen, picture)
        st.header("What it costs", anchor=False)
        st.markdown(text.COST)
        attention_cost.draw_attention_cost(grids, chosen)

    st.header("Why it matters for dense prediction", anchor=False)
    st.markdown(text.DENSE)
    found = [
        computations.result_or_status(f"pvt.field.{index}", subject, job)
        for index, (subject, job) in enumerate(segmentation.submit_segmentations(chosen, picture, fit, max(made.levels[0]["grid"])))
    ]
    ready = [one for one in found if one is not None]
    if ready and found[0] is not None:
        segmentation.draw_segmentations(ready, picture, groups)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(text.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(formatting.about(chosen.card))
st.caption(f"{text.PAPERS} The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
