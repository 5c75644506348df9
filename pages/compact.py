"""Compact Transformers: convolutional tokens, sequence pooling, and what they do for small data."""

from functools import partial

from vizlib.ui.core.formatting import linked
from vizlib.ui.pages.compact.sections import PAPER, draw_page
from vizlib.ui.widgets.model_picker import of_families, pick_model
from vizlib.ui.widgets.page import close_page, open_picture_page

url_state, picture, model, fit = open_picture_page(
    "compact",
    "Can a transformer learn from little data?",
    "Compact Transformers change two things in ViT: **convolutions** make the tokens, and **sequence pooling** reads all of them instead "
    "of a class token. Point at a token: above, the pixels it takes in; below, how much each model reads it.",
    partial(pick_model, fits=of_families("compact"), bundled=["cct_tiny50", "compact_vit_tiny50"], label="Beside ViT", weights=True),
)
draw_page(model, picture, fit, url_state)
close_page(url_state, source=f"{linked(PAPER)}.")
