"""What is chosen on the page of attributions, kept in its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.catalog.methods import METHODS
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.url_state import number, one_of
from vizlib.ui.pages.attribution import map_grid_data
from vizlib.ui.widgets.method_options import OWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.ui.core.url_state import UrlState


@dataclass(frozen=True)
class View:
    """The keys of what is chosen below, declared before there is anything to show, so that a link keeps them."""

    grid: dict[str, Any]
    take: Callable[[], None]
    target: str
    minus: str
    depth: str
    pair: str

    @classmethod
    def of_address(cls, url_state: UrlState, names: list[str]) -> View:
        """Every part of the page's address that is read once there is an answer; the first of the methods is the one looked at closer."""
        grid, take = component_state(url_state, "attribution.grid", {"scale": map_grid_data.SCALES}, {"opacity": (0.6, number(0, 1))})
        view = cls(
            grid,
            take,
            url_state.declare("target", OWN, int),
            url_state.declare("minus", OWN, int),
            url_state.declare("depth", names[0] if names else "", one_of(tuple(METHODS))),
            url_state.declare("pair", "", _pair_text),
        )
        if st.session_state[view.depth] not in names:
            st.session_state[view.depth] = names[0] if names else ""
        return view


def _pair_text(text: str) -> str:
    if text and not all(name in METHODS for name in text.split("~")):
        raise ValueError(text)
    return text
