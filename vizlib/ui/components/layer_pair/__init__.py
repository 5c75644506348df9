"""Layers of two models side by side on one photograph; a place under the pointer lights up what is like it in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("layer_pair")


def layer_pair(message: bytes, *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw what ``pack_layer_pair`` packed; ``.view`` of the result is what was last chosen {show, layer, place}, or None."""
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
