"""Parts of pages that are drawn in the browser: each a folder with its HTML, CSS and JavaScript, registered once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.components.joining import join_modules, join_styles

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_HOME = Path(__file__).parent


def register(name: str) -> ComponentRenderer:
    """The component in the folder ``name``, whose three files carry the folder's name too, with all that they import."""
    html = (_HOME / f"{name}/{name}.html").read_text("utf-8")
    path = f"{name}/{name}"
    return st.components.v2.component(
        f"vizlib_{name}", html=html, css=join_styles(_HOME, f"{path}.css"), js=join_modules(_HOME, f"{path}.js")
    )
