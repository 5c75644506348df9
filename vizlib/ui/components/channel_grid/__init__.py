"""Walls of feature maps, one for each model: order, scaling and marks change in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_component = register("channel_grid")


def channel_grid(payload: bytes, view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw packed ``Walls``; ``.view`` of the result is what the visitor last chose {order, scaling, way, layers}, or None."""
    return _component(data=pack({"view": dict(view)}, {"payload": payload}), key=key, default={"view": None}, on_view_change=on_change)
