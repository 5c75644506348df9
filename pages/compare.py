"""Compare: two to four models over the same photographs, what their layers hold alike, how far they look, why they answer differently."""

import streamlit as st

from vizlib.ui.core import job_slots, navigation
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.compare import sections
from vizlib.ui.pages.compare.comparison_jobs import ComparisonRequest, submit_comparison, to_fetch
from vizlib.ui.pages.compare.picture_set import pick_set
from vizlib.ui.widgets.pickers import pick_fit, pick_models

arrived = navigation.open_page(
    "compare",
    "What differs between two models?",
    "The same photographs go through both: look at which layers hold the same, how far each looks, and why their answers differ.",
)
service()
url_state = UrlState("compare", arrived=arrived)
pictures = pick_set(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    cards = pick_models(url_state)
with right:
    fit = pick_fit(url_state)
wish = ComparisonRequest(tuple(cards), pictures, fit)
view = sections.View.of_address(url_state, wish)
missing = to_fetch(wish)
if len(cards) < 2:
    st.info("Choose two models or more: a comparison takes two to four.", icon=":material/touch_app:")
elif not len(pictures):
    st.info("Choose at least one photograph above, or add your own.", icon=":material/touch_app:")
elif missing:
    for card in missing:
        job_slots.offer_download(card, "Choose another model.")
else:
    job = submit_comparison(wish)
    job_slots.wait_for([job])
    found = job_slots.result_or_status("compare.measures", job)
    if found is not None:
        sections.draw_findings(found)
        both = sections.pick_pair(found, view)
        shown = sections.pick_map_style(found, view)
        if shown is not None:
            sections.draw_layers(found, shown, both, view)
        sections.draw_cka(found, shown, both, view)
        sections.draw_charts(found)
        why = sections.draw_why(found, wish, shown, both, view) if shown is not None else None
        sections.draw_files(found, wish, shown, why)
st.caption("The address in your browser restores this view; photographs and models of your own are not part of it.")
url_state.write()
