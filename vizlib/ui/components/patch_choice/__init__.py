"""A picture cut into patches, of which one is chosen, by pointer or by keys; afterwards the map of all of them and the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("patch_choice")


def patch_choice(message: bytes, *, key: str, on_cell: Callable[[], None]) -> Any:
    """Draw what ``pages/learn`` packed; ``.cell`` of the result is the patch last chosen, row by row from 0, or None."""
    return _component(data=message, key=key, default={"cell": None}, on_cell_change=on_cell)
