"""A token on its way to the canvas, which then holds it; draws nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

_component = register("canvas_pointer")


def canvas_pointer(token: Mapping[str, Any] | None, *, key: str) -> None:
    """Have the canvas hold a token: its layer, head, query, and whether it is looked at (reverse); None leaves the canvas as it is."""
    _component(data=b"" if token is None else pack(dict(token), {}), key=key)
