"""PVT: what each of four scales holds, what attention costs at them, and what a pyramid is good for."""

import streamlit as st

from vizlib.ui import pvt_cost, pvt_fields, pvt_keys, pvt_stages, pvt_words, shell, studies, waiting, words
from vizlib.ui.address import Address
from vizlib.ui.pickers import pick_fit, pick_picture
from vizlib.ui.work import engine

arrived = shell.open_page(
    "pvt",
    "A pyramid without convolution",
    "PVT looks at the picture at several scales, where ViT has one. Point at a cell of a stage: what it covers in the others lights up.",
)
engine()
address = Address("pvt", arrived=arrived)
picture = pick_picture(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    chosen = studies.pick_subject(address, ("pvt", "pvt_v2"), ["pvt_tiny50"])
with right:
    fit = pick_fit(address)
view, groups = pvt_stages.view_key(address), pvt_fields.groups_key(address)

plain = studies.subject("vit_tiny50")
first, beside = pvt_stages.ask("pvt.stages", chosen, picture, fit), pvt_stages.ask("pvt.beside", plain, picture, fit)
keys = pvt_keys.ask("pvt.keys", chosen, picture, fit)
waiting.wait_for([first, beside])
made = studies.settled("pvt.stages", chosen, first)
if made is not None:
    other = studies.settled("pvt.beside", plain, beside)
    pvt_stages.draw("pvt", made, other, chosen, picture, view)

    st.header("Keys from a reduced grid", anchor=False)
    st.markdown(pvt_words.KEYS)
    waiting.wait_for([keys])
    grids = studies.settled("pvt.keys", chosen, keys)
    if grids is not None:
        pvt_keys.draw("pvt", grids, chosen, picture)
        st.header("What it costs", anchor=False)
        st.markdown(pvt_words.COST)
        pvt_cost.draw(grids, chosen)

    st.header("Why it matters for dense prediction", anchor=False)
    st.markdown(pvt_words.DENSE)
    found = [
        studies.settled(f"pvt.field.{index}", subject, job)
        for index, (subject, job) in enumerate(pvt_fields.ask(chosen, picture, fit, max(made.levels[0]["grid"])))
    ]
    ready = [one for one in found if one is not None]
    if ready and found[0] is not None:
        pvt_fields.draw(ready, picture, groups)

    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(pvt_words.snippet(chosen, picture, fit), language="python", wrap_lines=True)
if chosen.card is not None:
    with st.expander("The model", icon=":material/menu_book:"):
        st.markdown(words.about(chosen.card))
st.caption(f"{pvt_words.PAPERS} The address in your browser restores this view; a picture of your own is not part of it.")
address.close()
