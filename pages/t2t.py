"""T2T-ViT: how soft splits turn pixels into tokens, and what the channels of three architectures hold."""

from functools import partial

from vizlib.ui.core.formatting import linked
from vizlib.ui.pages.t2t.sections import PAPER, draw_page
from vizlib.ui.widgets.model_picker import of_families, pick_model
from vizlib.ui.widgets.page import close_page, open_picture_page

url_state, picture, model, fit = open_picture_page(
    "t2t",
    "How do pixels become tokens?",
    "ViT cuts a picture into patches that know nothing of each other. T2T-ViT lets windows **overlap**, three times over: point at a "
    "token of any round to see the pixels it is made of, and how often each one counts.",
    partial(pick_model, fits=of_families("t2t"), bundled=["t2t_tiny50", "t2t_t_tiny50"], weights=True),
)
draw_page(model, picture, fit, url_state)
close_page(url_state, source=f"{linked(PAPER)}.")
