"""Attribution: every method's map of one answer, how far each can be trusted, and what the answer really rests on."""

from vizlib.ui.pages.attribution.sections import draw_page
from vizlib.ui.widgets.page import close_page, open_page
from vizlib.ui.widgets.picture_picker import pick_picture

url_state = open_page(
    "attribution",
    "Why this answer?",
    "A dozen methods explain one answer, and they differ: look at the badge under each map before you believe it.",
)
draw_page(url_state, pick_picture(url_state, "coffee"))  # which all models know
close_page(url_state, not_linked="a picture, a brushed region or a model of your own")
