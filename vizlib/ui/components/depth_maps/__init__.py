"""One map of a picture for every layer, the chosen one large: what each patch alone would answer. Choosing and pointing need no server."""

from __future__ import annotations

from vizlib.ui.components import register

_component = register("depth_maps")


def depth_maps(message: bytes, *, key: str) -> None:
    """Draw what ``sections/logit_lens_data.py`` packed: the photograph, and for each layer values and first answers (layers, h, w)."""
    _component(data=message, key=key)
