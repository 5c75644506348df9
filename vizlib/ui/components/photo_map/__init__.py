"""A photograph with a map over it. The page sends both once; opacity, colours, scale and readings then need no server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.colormaps import COLORMAP_NAMES, diverging, tables
from vizlib.figures.map_scale import upper_end
from vizlib.ui.components import register
from vizlib.ui.core import message_codec

if TYPE_CHECKING:
    from vizlib.geometry import Geometry
    from vizlib.ui.core.pictures import Picture

_component = register("photo_map")


@dataclass(frozen=True, eq=False)
class MapData:
    """A map (h, w) on a model's input, NaN where it has no value, and where that lies on the picture.

    ``unit_value`` is the value that counts as 1: for ``unit`` "share" what each pixel would have if all had the same, for "lift" one, and
    for "score", the only map with values below zero, one logit.
    """

    values: np.ndarray
    unit_value: float
    unit: str
    geometry: Geometry

    @property
    def peak(self) -> float:
        """Where the map's own colours end, as a multiple of ``unit_value``; to both sides of zero where values lie below it."""
        return self._ends[1]

    @property
    def highest(self) -> float:
        """The largest value on the picture, padding left aside, as a multiple of ``unit_value``; of magnitudes for a "score"."""
        return self._ends[2]

    @property
    def lowest(self) -> float:
        """The smallest value on the picture, as a multiple of ``unit_value``."""
        return self._ends[0]

    @cached_property
    def _ends(self) -> tuple[float, float, float]:
        shown = self.values[self.geometry.content & np.isfinite(self.values)]
        if not shown.size or self.unit_value <= 0:
            return 0.0, 0.0, 0.0
        multiples = shown / self.unit_value
        highest = float(np.abs(multiples).max() if self.unit == "score" else multiples.max())
        return float(multiples.min()), upper_end(multiples, None if self.unit == "score" else 1.0), highest


def pack(picture: Picture, data: MapData | None, peak: float | None = None) -> bytes:
    """Everything the browser needs in one message: the colour tables, the map in float32, the photograph.

    Without a map the photograph alone, for while the map is being made. ``peak`` is where its own colours end when it stands beside another
    that it is compared with.
    """
    jpeg, shown = picture.jpeg
    header: dict[str, object] = {"image": picture.pixels.shape[:2], "shown": shown, "title": picture.title}
    arrays: dict[str, np.ndarray | bytes] = {"photo": jpeg}
    if data is not None:
        geometry = data.geometry
        header |= {
            "colormaps": ("diverging",) if data.unit == "score" else COLORMAP_NAMES,
            "input": geometry.input_size,
            "scale": geometry.scale,
            "offset": geometry.offset,
            "unitValue": data.unit_value,
            "unit": data.unit,
            "peak": data.peak if peak is None else peak,
            "highest": data.highest,
            "lowest": data.lowest,
        }
        arrays |= {"tables": diverging() if data.unit == "score" else tables(), "values": data.values.astype("<f4", copy=False)}
    return message_codec.pack(header, arrays)


def photo_map(payload: bytes, *, key: str) -> None:
    """Draw what ``pack`` packed."""
    _component(data=payload, key=key)
