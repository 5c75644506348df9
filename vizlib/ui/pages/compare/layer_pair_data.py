"""Layers of two models on one photograph, packed for the browser: colours, lengths, channels, and which places are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.layer_names import layer_title
from vizlib.ui.components._lib import viridis
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.compare.result import Comparison, Example, ExampleLayer

TILES = 6
_QUALITY = 88
End = tuple[int, int]


def pack_layer_pair(
    comparison: Comparison, example: Example, pairs: Sequence[tuple[End, End]], view: Mapping[str, Any], single: bool = False
) -> bytes:
    """Pairs of layers, each end as (model, layer), all pairs of the same two models; the browser opens on ``view``.

    By pair k and side s: ``k.s.colours`` uint8 (h, w, 3) in a basis that both sides share, ``k.s.lengths`` float32 (h, w),
    ``k.s.channels`` uint8 (6, h, w), and likeness of cells uint8 (cells, cells) of sides s and t as ``k.like.st``, 255 (value + 1) / 2.
    """
    from vizlib.compare.pictures import crop_seen_by, to_256_steps
    from vizlib.figures.overlay import encode_jpeg

    models = [end[0] for end in pairs[0]]
    photos = [crop_seen_by(example, model) for model in models]
    arrays: dict[str, np.ndarray] = {"table": viridis()}
    for side, photo in enumerate(photos):
        arrays[f"photo.{side}"] = np.frombuffer(encode_jpeg(photo, _QUALITY), np.uint8)
    rows = []
    for number, ends in enumerate(pairs):
        for side, (end, colours) in enumerate(zip(ends, example.colours(*ends), strict=True)):
            layer: ExampleLayer = example.layers[end[0]][end[1]]
            arrays[f"{number}.{side}.colours"] = np.rint(255 * colours).astype(np.uint8)
            arrays[f"{number}.{side}.lengths"] = layer.norms.astype(np.float32)
            arrays[f"{number}.{side}.channels"] = np.rint(255 * layer.mosaic[:TILES]).astype(np.uint8)
        for name, (side, other) in {"00": (0, 0), "01": (0, 1), "11": (1, 1)}.items():
            arrays[f"{number}.like.{name}"] = to_256_steps(example.correspondence(ends[side], ends[other]))
        rows.append([_facts(comparison, example, end) for end in ends])
    header = {
        "title": example.name,
        "models": [comparison.models[model].display_name for model in models],
        "sizes": [list(photo.shape[:2]) for photo in photos],
        "pairs": rows,
        "single": single,
        "view": dict(view),
    }
    return pack(header, arrays)


def _facts(comparison: Comparison, example: Example, end: End) -> dict[str, Any]:
    layer, drawn = comparison.models[end[0]].layers[end[1]], example.layers[end[0]][end[1]]
    return {
        "layer": layer_title(layer.name),
        "depth": layer.depth,
        "cells": list(layer.grid),
        "grid": list(drawn.grid),
        "channels": layer.channels,
        "numbers": [int(channel) for channel in drawn.channels[:TILES]],
    }
