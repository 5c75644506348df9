"""Many maps of one picture side by side: one pointer for all of them, one scale or each its own, and the badge under each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("map_grid")


def map_grid(message: bytes, *, key: str, on_view: Callable[[], None], on_act: Callable[[], None]) -> Any:
    """Draw what ``pack_map_grid`` packed.

    ``.view`` of the result is {"scale", "opacity"} as last chosen, or None; ``.act`` is None or the last click: its number, which the next
    message repeats as ``heard``, then "stop", "on" or the method to look at closer, and how often it was told.
    """
    return _component(data=message, key=key, default={"view": None, "act": None}, on_view_change=on_view, on_act_change=on_act)
