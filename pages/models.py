"""Models: who learns most from the same photographs, what they confuse, and whether their maps lie on the object."""

from vizlib.ui.pages.models.sections import draw_page
from vizlib.ui.widgets.page import close_page, open_page

url_state = open_page(
    "models",
    "Which architecture learns most?",
    "The same photographs and about the same size, but not all trained equally long, as each card says: look at who is right most often, "
    "and whether chance could have made the difference.",
    vision=False,
)
close_page(url_state, source=draw_page(url_state), not_linked="")
