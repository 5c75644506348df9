"""T2T-ViT's soft splits over a picture: point at a token of any round and see what it is made of. All of it is drawn in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_component = register("soft_split")


def soft_split(payload: bytes, view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw a packed ``SoftSplits``.

    ``.view`` of the result is what the visitor last chose {draw, follow, basis, groups, token}, or None.
    """
    return _component(data=pack({"view": dict(view)}, {"payload": payload}), key=key, default={"view": None}, on_view_change=on_change)
