"""A photograph with a map over it. The page sends both once; opacity, colours, scale and readings then need no server."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.palette import COLORMAP_NAMES, tables
from vizlib.ui.components import register

if TYPE_CHECKING:
    from vizlib.geometry import Geometry
    from vizlib.ui.pictures import Picture

MAGIC = b"VZM1"
_component = register("photo_map")


@dataclass(frozen=True, eq=False)
class MapData:
    """A map (h, w) never below zero on a model's input, and where that lies on the picture; ``total`` is what its shares are of."""

    values: np.ndarray
    total: float
    geometry: Geometry

    @property
    def uniform(self) -> float:
        """The value each pixel would have if all had the same."""
        return self.total / self.values.size

    @property
    def peak(self) -> float:
        """The largest value on the picture, padding left aside: the upper end of the map's own scale."""
        shown = self.values[self.geometry.content]
        return float((shown if shown.size else self.values).max())


def pack(picture: Picture, data: MapData | None) -> bytes:
    """Everything the browser needs in one message: a header, the colour tables, the map in float32, the photograph.

    Without a map the photograph alone, for while the map is being made.
    """
    jpeg, shown = picture.jpeg
    header: dict[str, object] = {"image": picture.pixels.shape[:2], "shown": shown, "title": picture.title, "jpeg": len(jpeg)}
    parts: list[bytes] = []
    if data is not None:
        geometry = data.geometry
        header |= {
            "colormaps": COLORMAP_NAMES,
            "input": geometry.input_size,
            "scale": geometry.scale,
            "offset": geometry.offset,
            "uniform": data.uniform,
            "peak": data.peak,
        }
        parts = [tables(), np.ascontiguousarray(data.values, "<f4").tobytes()]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)  # the float32 values begin at a multiple of four
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *parts, jpeg])


def photo_map(payload: bytes, *, key: str) -> None:
    """Draw what ``pack`` packed."""
    _component(data=payload, key=key)
