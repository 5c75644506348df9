"""Attention: every head of every layer under the mouse, and what the answer loses without them."""

from functools import partial

from vizlib.ui.pages.attention.panels import draw_page
from vizlib.ui.widgets.model_picker import pick_model, with_attention
from vizlib.ui.widgets.page import close_page, open_picture_page
from vizlib.ui.widgets.snippet import draw_model

url_state, picture, model, fit = open_picture_page(
    "attention",
    "Where does every patch look?",
    "Move over the picture: bright is where the patch under the mouse looks. Press play to see it layer by layer.",
    partial(pick_model, fits=with_attention, show_unfit=True),
    first="coffee",  # which its first model knows
)
draw_page(model, picture, fit, url_state)
draw_model(model.card)
close_page(url_state)
