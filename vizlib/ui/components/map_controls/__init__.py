"""How all maps of a page look: opacity, colours and scale, changed in the browser and told to the page once the hand rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.figures.colormaps import COLORMAP_NAMES
from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("map_controls")


def map_controls(opacity: float, colormap: str, scale: str, *, several: bool, key: str, on_change: Callable[[], None]) -> Any:
    """Draw the controls; ``.appearance`` of the result is the last one told, {opacity, colormap, scale}, or None.

    ``several`` offers one scale for all maps.
    """
    data = {"appearance": {"opacity": opacity, "colormap": colormap, "scale": scale}, "colormaps": COLORMAP_NAMES, "several": several}
    return _component(data=pack(data), key=key, default={"appearance": None}, on_appearance_change=on_change)
