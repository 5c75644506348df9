"""Several models side by side: what a token takes in, and how tokens are read out. All of it is drawn in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_component = register("tokenizer_columns")


def tokenizer_columns(payloads: Sequence[bytes], view: Mapping[str, Any], *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw packed columns; ``.view`` of the result is what the visitor last chose {cover, readout, label, token}, or None."""
    message = pack({"view": dict(view)}, {f"column.{index}": payload for index, payload in enumerate(payloads)})
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
