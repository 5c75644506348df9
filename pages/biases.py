"""Inductive biases: change the picture, and see which architecture holds on to its answer and whose features move along."""

from vizlib.ui.pages.biases.sections import draw_page, pick_alike
from vizlib.ui.widgets.page import close_page, open_picture_page

url_state, picture, models, fit = open_picture_page(
    "biases",
    "What does each architecture assume?",
    "Move the slider: the picture changes, and every model answers at once. Look at whose answer holds.",
    pick_alike,
    first="coffee",  # which all models know
)
draw_page(models, picture, fit, url_state)
close_page(url_state)
