"""Audit: what models answer and where they look over a whole set of pictures."""

from vizlib.ui.pages.audit.sections import draw_page
from vizlib.ui.widgets.page import close_page, open_page

url_state = open_page(
    "audit",
    "Where does it look over a whole set?",
    "One picture can mislead: look at the sentences with their intervals first, then at the pictures that come first when sorted.",
)
draw_page(url_state)
close_page(url_state, not_linked="a picture or a model of your own")
