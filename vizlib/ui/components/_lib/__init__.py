"""What several components share in the browser: ES modules and CSS that they import, and the colours that pages send to them."""

from __future__ import annotations

from functools import cache

import numpy as np

from vizlib.figures.colormaps import tables


@cache
def viridis() -> np.ndarray:
    """The colours of maps for the browser: uint8 (256, 3)."""
    return np.frombuffer(tables(), np.uint8)[:768].reshape(256, 3)
