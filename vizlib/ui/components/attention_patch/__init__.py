"""A layer's finer attention on its way to the canvas that asked for it; draws nothing itself."""

from __future__ import annotations

import json
import struct

from vizlib.ui.components import register

_component = register("attention_patch")


def attention_patch(attention: bytes | None, *, view: str, layer: int, key: str) -> None:
    """Hand one packed site to the canvas that shows ``view``; None says that the layer cannot be sent any finer."""
    text = json.dumps({"view": view, "layer": layer}).encode()
    text += b" " * (-len(text) % 4)
    _component(data=struct.pack("<I", len(text)) + text + (attention or b""), key=key)
