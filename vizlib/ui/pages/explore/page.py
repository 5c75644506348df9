"""The page from its heading to its last line; the answers stand right under the heading, before what they were made from is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.pages.explore.columns import draw_columns
from vizlib.ui.widgets.model_picker import pick_models
from vizlib.ui.widgets.page import close_page, folded_controls, open_page
from vizlib.ui.widgets.pickers import pick_fit
from vizlib.ui.widgets.picture_picker import pick_likeness, pick_picture, pick_second_picture
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

OPENING_PICTURE = "coffee"  # all models that the page opens on are right about it
REAL_MODEL = "tf_efficientnet_lite0"
OPENING_MODELS = ("vit_tiny50", "resnet_tiny50")  # the first of them beside the real model, where that is at hand


def draw_page() -> None:
    """The whole page."""
    url_state = open_page(
        "explore",
        "What did the model look at?",
        "Bright is what the method named over each map holds for the reason of the answer. Ask for another class, and see what changes.",
    )
    answers = st.container(gap="xxsmall")
    with folded_controls("explore"):
        picture = pick_picture(url_state, OPENING_PICTURE)
        models, fit, second, alike = _pick_models_and_fit(url_state, picture)
    draw_columns(models, picture, second, fit, url_state, answers, alike=alike)
    close_page(url_state, not_linked="a picture or a checkpoint of your own")


def _real_model_at_hand() -> bool:
    return bool(all_cards()[REAL_MODEL].at_hand)


def _pick_models_and_fit(url_state: UrlState, picture: Picture) -> tuple[list[ModelChoice], str | None, Picture | None, bool]:
    """The models, the fit, the second picture, and whether maps are to explain what makes the two alike."""
    left, middle, right = st.columns([5, 2, 2], gap="medium")
    with left:
        models = pick_models(url_state, (REAL_MODEL, OPENING_MODELS[0]) if _real_model_at_hand() else OPENING_MODELS)
    with middle:
        fit = pick_fit(url_state)
    second = pick_second_picture(url_state, right, picture)
    return models, fit, second, second is not None and pick_likeness(url_state)
