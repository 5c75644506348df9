"""The colour maps by name and as tables, for what is drawn in Python and in the browser."""

from __future__ import annotations

from functools import cache

import numpy as np

from vizlib.errors import VizlibError

# Perceptually uniform and safe for the colour-blind, each rising in lightness; the first one is the default. The tables are OpenCV's.
COLORMAP_NAMES = ("viridis", "cividis", "magma", "inferno", "plasma")


# From evidence against to evidence for, light in the middle; blue and orange-red stay apart for the colour-blind.
_DIVERGING = ((33, 102, 172), (247, 247, 247), (202, 62, 20))


@cache
def diverging() -> bytes:
    """256 RGB colours around a light middle, one byte a channel: straight lines in CIELAB, by the root so that weak evidence has a hue."""
    import cv2

    ends = cv2.cvtColor(np.array([_DIVERGING], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    share = np.linspace(-1, 1, 256)
    along = 1 + np.sign(share) * np.sqrt(np.abs(share))
    path = np.stack([np.interp(along, (0, 1, 2), ends[:, channel]) for channel in range(3)], 1)
    colours = cv2.cvtColor(path[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8).tobytes()


def table(colormap: str) -> np.ndarray:
    """256 colours from low to high, uint8 (256, 3) in RGB; VizlibError for an unknown colour map."""
    if not isinstance(colormap, str) or colormap not in COLORMAP_NAMES:
        raise VizlibError(f"There is no colour map {str(colormap)[:40]!r}; there are {', '.join(COLORMAP_NAMES)}.")
    return _table(colormap)


@cache
def _table(colormap: str) -> np.ndarray:
    import cv2

    levels = np.arange(256, dtype=np.uint8)[None]
    return cv2.cvtColor(cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{colormap.upper()}")), cv2.COLOR_BGR2RGB)[0]


@cache
def tables() -> bytes:
    """256 RGB colours for each name, in order, one byte a channel."""
    return b"".join(table(name).tobytes() for name in COLORMAP_NAMES)
