"""PVT: what each of four scales holds, what attention costs at them, and what a pyramid is good for."""

from functools import partial

from vizlib.ui.pages.pvt import sections, text
from vizlib.ui.widgets.model_picker import of_families, pick_model
from vizlib.ui.widgets.page import close_page, open_picture_page
from vizlib.ui.widgets.snippet import draw_model

url_state, picture, model, fit = open_picture_page(
    "pvt",
    "A pyramid of scales.",
    "PVT looks at the picture at several scales, where ViT has one. Point at a cell of a stage: what it covers in the others lights up.",
    partial(pick_model, fits=of_families("pvt", "pvt_v2"), bundled=["pvt_tiny50"], weights=True),
)
sections.draw_page(model, picture, fit, url_state)
draw_model(model.card)
close_page(url_state, source=text.PAPERS)
