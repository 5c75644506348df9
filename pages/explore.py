"""Explore: a picture, some models, and for each what it answered and where that came from."""

from vizlib.ui.pages.explore.columns import draw_columns
from vizlib.ui.widgets.model_picker import pick_models
from vizlib.ui.widgets.page import close_page, open_picture_page

url_state, picture, models, fit = open_picture_page(
    "explore",
    "What did the model look at?",
    "Bright is where an answer came from: see whether the models look at the same things, then ask for another class.",
    pick_models,
)
draw_columns(models, picture, fit, url_state)
close_page(url_state, not_linked="a picture or a checkpoint of your own")
