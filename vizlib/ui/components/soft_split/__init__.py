"""T2T-ViT's soft splits over a picture: point at a token of any round and see what it is made of. All of it is drawn in the browser."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vizlib.ui.components import as_json, register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_component = register("soft_split")


def soft_split(payload: bytes, view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw a packed ``SoftSplits``; ``.view`` of the result is what the visitor last chose {draw, follow, basis, groups, token}, or None.

    The message is the length of the view, the view as JSON, the payload, which starts at a multiple of eight bytes.
    """
    text = as_json(dict(view))
    text += b" " * (-(len(text) + 8) % 8)
    return _component(data=struct.pack("<Q", len(text)) + text + payload, key=key, default={"view": None}, on_view_change=on_change)
