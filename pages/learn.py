"""Learn: ten steps from a sentence through a bottleneck to whether a map can be trusted, each predicted before it is shown."""

from vizlib.ui.pages.learn.sections import draw_page
from vizlib.ui.widgets.page import close_page, open_page

url_state = open_page(
    "learn",
    "Predict, then look.",
    "Ten steps from the first attention to whether a map can be trusted, on your own picture. Say what you expect before you see it.",
)
draw_page(url_state)
close_page(url_state, not_linked="a picture of your own")
