"""What several components share in the browser: reading packed arrays, painting grids, buttons, formulas that light up a picture."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.colormaps import tables
from vizlib.ui import components

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def register(name: str) -> ComponentRenderer:
    """The component in the folder ``name`` beside this one, with the shared JavaScript and CSS before its own."""
    return components.register(name, kit=True)


@cache
def viridis() -> np.ndarray:
    """The colours of maps for the browser: uint8 (256, 3)."""
    return np.frombuffer(tables(), np.uint8)[:768].reshape(256, 3)
