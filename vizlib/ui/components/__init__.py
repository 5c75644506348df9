"""Parts of pages that are drawn in the browser: each a folder with its HTML, CSS and JavaScript, registered once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.catalog.glossary import ROLES
from vizlib.ui.components.joining import join_modules, join_styles

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

PACKAGE = Path(__file__).parents[2]  # files join what lies anywhere in it: the report of an audit draws with what its page does
FOLDER = "ui/components"


def register(name: str) -> ComponentRenderer:
    """The component in the folder ``name``, whose three files carry the folder's name too, with all that they import.

    Streamlit hears of it when it is first drawn: work that only packs for a component must not import Streamlit.
    """

    def draw(**arguments: Any) -> Any:
        return _component(name)(**arguments)

    return draw


@cache
def _component(name: str) -> ComponentRenderer:
    import streamlit as st

    path = f"{FOLDER}/{name}/{name}"
    html = (PACKAGE / f"{path}.html").read_text("utf-8")
    roles = "".join(f"--{role}:{color};" for role, color in ROLES.items())
    css = f":host,.kit{{{roles}}}\n{join_styles(PACKAGE, f'{path}.css')}"
    return st.components.v2.component(f"vizlib_{name}", html=html, css=css, js=join_modules(PACKAGE, f"{path}.js"))
