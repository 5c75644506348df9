"""The colour maps by name and as tables, for what is drawn elsewhere than in Python."""

from __future__ import annotations

from functools import cache

import numpy as np

# The first one is the default. The tables behind the names are OpenCV's: see ``overlay``.
COLORMAP_NAMES = ("viridis", "cividis", "magma", "inferno", "plasma")


@cache
def tables() -> bytes:
    """256 RGB colours for each name, in order, one byte a channel."""
    from vizlib.figures.overlay import coloured

    ramp = np.arange(256.0)[None]
    return b"".join(coloured(ramp, name, high=255.0).tobytes() for name in COLORMAP_NAMES)
