"""A photograph to brush a region on: by hand, by keys or as a rectangle; beside it what the region carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("region_brush")


def region_brush(message: bytes, *, key: str, on_region: Callable[[], None]) -> Any:
    """Draw the photograph; ``.region`` of the result is the region as bits in base64, rows first, once a hand let go of the brush."""
    return _component(data=message, key=key, default={"region": None}, on_region_change=on_region)
