"""CvT: windows that overlap, convolutions inside attention, and no table of positions."""

from functools import partial

from vizlib.ui.pages.cvt import sections, text
from vizlib.ui.widgets.model_picker import of_families, pick_model
from vizlib.ui.widgets.page import close_page, open_picture_page
from vizlib.ui.widgets.snippet import draw_model

url_state, picture, model, fit = open_picture_page(
    "cvt",
    "Convolution inside attention.",
    "CvT makes its tokens from windows that overlap. Point at a cell of a stage: the window it sees, and the cells that see it, light up.",
    partial(pick_model, fits=of_families("cvt"), bundled=["cvt_tiny50"], weights=True),
)
sections.draw_page(model, picture, fit, url_state)
draw_model(model.card)
close_page(url_state, source=text.PAPER)
