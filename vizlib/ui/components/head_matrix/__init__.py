"""Layers x heads as small tables of colours; a click on a cell opens that head in the attention canvas, without the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

_component = register("head_matrix")


def table(title: str, note: str, values: np.ndarray, texts: Sequence[Sequence[str]], colormap: str) -> dict[str, Any]:
    """One table: values (layers, heads), NaN where there is none, and each as text; coloured from the lowest to the highest."""
    from vizlib.figures.overlay import coloured

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    pixels = coloured(values, colormap, low, high if high > low else low + 1)
    cells = [
        [
            None if np.isnan(value) else {"text": text, "colour": "#" + pixel.tobytes().hex()}
            for value, text, pixel in zip(*row, strict=True)
        ]
        for row in zip(values, texts, pixels, strict=True)
    ]
    ends = (
        [texts[at // values.shape[1]][at % values.shape[1]] for at in (np.nanargmin(values), np.nanargmax(values))] if finite.size else []
    )
    return {"title": title, "note": note, "cells": cells, "ends": ends}


def head_matrix(tables: Sequence[dict[str, Any]], layers: Sequence[str], *, key: str) -> None:
    """Draw the tables side by side; ``layers`` names their rows."""
    _component(data=pack({"tables": list(tables), "layers": list(layers)}), key=key)
