"""Walls of feature maps, one for each model: order, scaling and marks change in the browser."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vizlib.ui.components import as_json, register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_component = register("channel_grid")


def channel_grid(payload: bytes, view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw packed ``Walls``; ``.view`` of the result is what the visitor last chose {order, scaling, way, layers}, or None."""
    text = as_json(dict(view))
    text += b" " * (-(len(text) + 8) % 8)
    return _component(data=struct.pack("<Q", len(text)) + text + payload, key=key, default={"view": None}, on_view_change=on_change)
