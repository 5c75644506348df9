"""T2T-ViT: how soft splits turn pixels into tokens, and what the channels of three architectures hold."""

import streamlit as st

from vizlib.ui.core import formatting, navigation
from vizlib.ui.core.computations import pick_model
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.t2t.sections import PAPER, draw_channel_grids, draw_costs, draw_splits, submit_soft_splits
from vizlib.ui.widgets.pickers import pick_fit, pick_picture

arrived = navigation.open_page(
    "t2t",
    "How do pixels become tokens?",
    "ViT cuts a picture into patches that know nothing of each other. T2T-ViT lets windows **overlap**, three times over: point at a "
    "token of any round to see the pixels it is made of, and how often each one counts.",
)
service()
url_state = UrlState("t2t", arrived=arrived)
picture = pick_picture(url_state)
left, right = st.columns([4, 1], gap="medium")
with left:
    one = pick_model(url_state, ("t2t",), ("t2t_tiny50", "t2t_t_tiny50"))
with right:
    fit = pick_fit(url_state)
splits, walls = submit_soft_splits(one, picture, fit)
made = draw_splits(url_state, one, splits, picture, fit)
if made is not None:
    draw_costs(made)
draw_channel_grids(url_state, one, walls, picture)
st.caption(f"{formatting.linked(PAPER)}. The address in your browser restores this view; a picture of your own is not part of it.")
url_state.write()
