"""A slider over the strengths of a change: the picture at each, and what every model answers. All of it is drawn in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("response_lab")


def response_lab(message: bytes, *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw what ``pack_response_lab`` packed; ``.view`` of the result is {"at": the strength that was last chosen}, or None."""
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
