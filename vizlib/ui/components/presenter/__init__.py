"""A page for a class: one section a screen in large type, gone through by keys. Nothing but its end reaches the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("presenter")


def presenter(*, presenting: bool, page: str, key: str, on_leave: Callable[[], None]) -> None:
    """Present the page with this title, or show it as it is; ``on_leave`` is called once the visitor has left by a key or button."""
    _component(data=pack({"presenting": presenting, "page": page}), key=key, on_leave_change=on_leave)
