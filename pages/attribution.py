"""Attribution: every method's map of one answer, how far each can be trusted, and what the answer really rests on."""

from vizlib.ui.pages.attribution.sections import draw_page
from vizlib.ui.widgets.model_picker import pick_model
from vizlib.ui.widgets.page import close_page, open_picture_page

url_state, picture, model, fit = open_picture_page(
    "attribution",
    "Why this answer?",
    "Each method explains the same answer in its own way: look at the badge under a map before you believe it.",
    pick_model,
    first="coffee",  # which all models know
)
draw_page(url_state, picture, model, fit)
close_page(url_state, not_linked="a picture, a brushed region or a model of your own")
