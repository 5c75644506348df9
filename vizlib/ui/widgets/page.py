"""How a page begins and ends: heading, address, picture, models and fit; and what its link restores."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from vizlib.ui.core import navigation
from vizlib.ui.core.contents import draw_contents
from vizlib.ui.core.formatting import plain
from vizlib.ui.core.model_choice import ModelChoice
from vizlib.ui.core.model_service import service
from vizlib.ui.core.presenting import controls
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.widgets.pickers import pick_fit
from vizlib.ui.widgets.picture_picker import FIRST_SAMPLE, pick_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from vizlib.ui.core.pictures import Picture

M = TypeVar("M", "ModelChoice", "list[ModelChoice]")


def open_page(name: str, headline: str, sentence: str, *, vision: bool = True) -> UrlState:
    """The heading, then the state that the page keeps in its address; a page of ``vision`` models has their imports begin meanwhile."""
    arrived = navigation.open_page(name, headline, sentence)
    if vision:
        service().wake()
    return UrlState(name, arrived=arrived)


def open_picture_page(
    name: str, headline: str, sentence: str, pick: Callable[[UrlState], M], *, first: str = FIRST_SAMPLE
) -> tuple[UrlState, Picture, M, str | None]:
    """A page about one picture, at first the sample ``first``, that opens on what it shows; what chooses that is folded into a line.

    Its state, the picture, what ``pick`` gives, and the fit.
    """
    url_state = open_page(name, headline, sentence)
    with st.container(gap="xsmall"):
        shown = st.container()  # not st.empty, which is empty in each run until it is filled: all below would jump
        with folded_controls(name):
            picture = pick_picture(url_state, first)
            models, fit = pick_beside_fit(url_state, pick)
    shown.markdown(shown_words(picture.title, [models] if isinstance(models, ModelChoice) else models, fit))
    return url_state, picture, models, fit


def folded_controls(name: str) -> DeltaGenerator:
    """Where a page's picture, models and fit are chosen, below what they are made from: closed until a visitor opens it."""
    return st.expander("Add a picture, or change the model or the fit", icon=":material/add_photo_alternate:", key=f"controls-{name}")


def shown_words(title: str, models: Sequence[ModelChoice], fit: str | None) -> str:
    """The picture, the models and the fit of a page in one line."""
    names = [f"**{plain(model.display_name)}**{' with random weights' if model.random else ''}" for model in models]
    *others, last = names or ["no model"]
    fitted = "fitted as trained" if fit is None else f"fitted by {fit}"
    return f"Shown: **{plain(title)}** in {', '.join(others)}{' and ' if others else ''}{last}, {fitted}."


def pick_beside_fit(url_state: UrlState, pick: Callable[[UrlState], M]) -> tuple[M, str | None]:
    """What ``pick`` gives, and beside it how pictures are fitted into a model's input."""
    with controls("models"):
        left, right = st.columns([4, 1], gap="medium")
    with left:
        models = pick(url_state)
    with right:
        fit = pick_fit(url_state)
    return models, fit


def close_page(url_state: UrlState, *, source: str = "", not_linked: str = "a picture or a model of your own") -> None:
    """The last line of a page, with the papers that it rests on, and the address that restores it."""
    restores = "The address in your browser restores this view"
    lines = [source, f"{restores}; {not_linked} is not part of it." if not_linked else f"{restores}."]
    st.caption(" ".join(filter(None, lines)))
    draw_contents()
    url_state.write()
