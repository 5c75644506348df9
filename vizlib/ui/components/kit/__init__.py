"""What several components share in the browser: reading packed arrays, painting grids, buttons, formulas that light up a picture."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.figures.palette import tables

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def register(name: str) -> ComponentRenderer:
    """The component in the folder ``name`` beside this one, with the shared JavaScript and CSS before its own."""
    home = files(__package__)
    folder = files("vizlib.ui.components") / name
    css, js = ((home / f"kit.{kind}").read_text("utf-8") + "\n" + (folder / f"{name}.{kind}").read_text("utf-8") for kind in ("css", "js"))
    html = (folder / f"{name}.html").read_text("utf-8")
    return st.components.v2.component(f"vizlib_{name}", html=html, css=css, js=js)


@cache
def viridis() -> np.ndarray:
    """The colours of maps for the browser: uint8 (256, 3)."""
    return np.frombuffer(tables(), np.uint8)[:768].reshape(256, 3)
