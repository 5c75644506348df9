"""The attention explorer: every head of every layer for the cell under the mouse, drawn in the browser from one message.

Only two things reach the server: ``pin``, a query that was clicked, and ``want``, a layer that is shown coarsely so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.figures.colormaps import COLORMAP_NAMES, tables
from vizlib.ui.components import register
from vizlib.ui.core import message_codec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.geometry import Geometry
    from vizlib.ui.core.pictures import Picture

_component = register("attention_canvas")


def pack(picture: Picture, geometry: Geometry, attention: bytes, *, view: str, odd: Sequence[Sequence[int]] = ()) -> bytes:
    """Everything the browser needs: the colour tables, the packed attention (see ``payload.py``), the photograph.

    ``view`` tells this message from others, so that a finer layer finds its canvas; ``odd`` are the cells with abnormal norm on the
    query grid of each site.
    """
    jpeg, shown = picture.jpeg
    header: dict[str, Any] = {
        "view": view,
        "title": picture.title,
        "image": picture.pixels.shape[:2],
        "shown": shown,
        "input": geometry.input_size,
        "scale": geometry.scale,
        "offset": geometry.offset,
        "colormaps": COLORMAP_NAMES,
        "artifact_tokens": [list(cells) for cells in odd],
    }
    return message_codec.pack(header, {"tables": tables(), "attention": attention, "photo": jpeg})


def attention_canvas(payload: bytes, *, key: str, on_pin: Callable[[], None], on_want: Callable[[], None]) -> Any:
    """Draw what ``pack`` packed.

    ``.pin`` of the result is the query just clicked, {layer, head (-1: the mean), query, reverse, opacity, colors, scale, maps}, else None;
    ``.want`` the layer whose finer rows are asked for.
    """
    return _component(data=payload, key=key, on_pin_change=on_pin, on_want_change=on_want)
