"""What a visitor chooses beside the picture and the models: how the picture is fitted, how maps look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.figures.colormaps import COLORMAP_NAMES
from vizlib.geometry import FITS
from vizlib.ui.components.map_controls import map_controls
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.url_state import number, one_of, resend

if TYPE_CHECKING:
    from vizlib.ui.core.url_state import UrlState

_OWN_FIT = "model"
_FIT_WORDS = {_OWN_FIT: "as trained", "crop": "crop", "pad": "pad", "squash": "squash"}


def pick_fit(url_state: UrlState) -> str | None:
    """How a picture that is not square is fitted into a model's square input; None is the model's own way."""
    key = url_state.declare("fit", _OWN_FIT, one_of(FITS))
    chosen = st.selectbox(
        "Fit",
        list(_FIT_WORDS),
        key=resend(key),
        format_func=lambda name: _FIT_WORDS[name],
        help="Models take one shape, mostly a square. **crop** keeps the middle, **pad** adds borders, **squash** stretches; "
        "**as trained** is what the model was trained with.",
    )
    return None if chosen == _OWN_FIT else chosen


@dataclass(frozen=True)
class MapStyle:
    """How maps are drawn: opacity 0 to 1, a colour map, and a ``scale``.

    "own" goes from zero to where the map's own colours end (``figures.map_scale``), "max" to its largest value, "stretch" from its lowest
    to its largest value, "one" from zero to the highest end of all maps.
    """

    opacity: float
    colormap: str
    scale: str


def pick_map_style(url_state: UrlState, *, several: bool) -> MapStyle:
    """Opacity, colours and scale of all maps on the page, drawn in the browser and kept in the address."""
    state = st.session_state
    keys = {
        "opacity": url_state.declare("opacity", 0.6, number(0, 1), lambda value: f"{value:g}"),
        "colormap": url_state.declare("colors", COLORMAP_NAMES[0], one_of(COLORMAP_NAMES)),
        "scale": url_state.declare("scale", "own", one_of(("own", "max", "stretch", "one"))),
    }

    def take_appearance() -> None:
        appearance = state["map_controls"].appearance or {}
        for name, key in keys.items():
            state[key] = appearance.get(name, state[key])

    chosen = MapStyle(*(state[key] for key in keys.values()))
    map_controls(chosen.opacity, chosen.colormap, chosen.scale, several=several, key="map_controls", on_change=here(take_appearance))
    return chosen
