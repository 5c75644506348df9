"""Several models side by side: what a token takes in, and how tokens are read out. All of it is drawn in the browser."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vizlib.ui.components import as_json, register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_component = register("tokenizer_columns")


def tokenizer_columns(payloads: Sequence[bytes], view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw packed columns; ``.view`` of the result is what the visitor last chose {cover, readout, label, token}, or None.

    The message is the view and then each payload, each behind its length in eight bytes.
    """
    text = as_json(dict(view))
    parts = [text + b" " * (-len(text) % 8), *payloads]
    message = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
