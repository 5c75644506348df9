"""A layer's finer attention on its way to the canvas that asked for it; draws nothing itself."""

from __future__ import annotations

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

_component = register("attention_patch")


def attention_patch(attention: bytes | None, *, view: str, layer: int, key: str) -> None:
    """Hand one packed site to the canvas that shows ``view``; None says that the layer cannot be sent any finer."""
    _component(data=pack({"view": view, "layer": layer}, {} if attention is None else {"attention": attention}), key=key)
