"""Compare: two to four models over the same photographs, what their layers hold alike, how far they look, why they answer differently."""

import streamlit as st

from vizlib.ui import compare_sections as sections
from vizlib.ui import shell, waiting
from vizlib.ui.address import Address
from vizlib.ui.compare_set import pick_set
from vizlib.ui.compare_work import Wish, ask_measures, to_fetch
from vizlib.ui.pickers import pick_fit, pick_models
from vizlib.ui.work import engine

arrived = shell.open_page(
    "compare",
    "What differs between two models?",
    "The same photographs go through both: look at which layers hold the same, how far each looks, and why their answers differ.",
)
engine()
address = Address("compare", arrived=arrived)
pictures = pick_set(address)
left, right = st.columns([4, 1], gap="medium")
with left:
    cards = pick_models(address)
with right:
    fit = pick_fit(address)
wish = Wish(tuple(cards), pictures, fit)
view = sections.View.of_address(address, wish)
missing = to_fetch(wish)
if len(cards) < 2:
    st.info("Choose two models or more: a comparison takes two to four.", icon=":material/touch_app:")
elif not len(pictures):
    st.info("Choose at least one photograph above, or add your own.", icon=":material/touch_app:")
elif missing:
    for card in missing:
        waiting.offer(card, "Choose another model.")
else:
    job = ask_measures(wish)
    waiting.wait_for([job])
    found = waiting.settled("compare.measures", job)
    if found is not None:
        sections.draw_findings(found)
        both = sections.pick_pair(found, view)
        shown = sections.pick_look(found, view)
        if shown is not None:
            sections.draw_layers(found, shown, both, view)
        sections.draw_cka(found, shown, both, view)
        sections.draw_charts(found)
        why = sections.draw_why(found, wish, shown, both, view) if shown is not None else None
        sections.draw_files(found, wish, shown, why)
st.caption("The address in your browser restores this view; photographs and models of your own are not part of it.")
address.close()
