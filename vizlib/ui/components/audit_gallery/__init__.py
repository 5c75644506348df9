"""The rows of an audit as a gallery and a table that presets and any column sort, as in its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_component = register("audit_gallery")


def pack_audit_gallery(gallery: Mapping[str, Any], view: Mapping[str, str], opens: str) -> bytes:
    """What ``report_data.gallery_data`` gives, what is chosen, and the word of the button that opens a row; empty for none."""
    return pack({"gallery": gallery, "view": view, "opens": opens})


def audit_gallery(message: bytes, *, key: str, on_view: Callable[[], None], on_open: Callable[[], None]) -> Any:
    """Draw it; ``.view`` of the result is what is chosen in it, ``.open`` the number of the row in the table that was just opened."""
    return _component(data=message, key=key, on_view_change=on_view, on_open_change=on_open)
