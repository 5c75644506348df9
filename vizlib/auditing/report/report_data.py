"""The numbers, maps and pictures that the gallery and the table of an audit are drawn from in the browser."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.overview.columns import PRESETS, table_columns
from vizlib.auditing.report.findings import missing_presets
from vizlib.auditing.report.names import shown_names
from vizlib.figures.colormaps import diverging, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.picked_rows import PickedRow

SEEN = ("seen_top", "seen_left", "seen_bottom", "seen_right")


def gallery_data(overview: Overview, thumbnails: Mapping[int, str]) -> dict[str, Any]:
    """What ``gallery.js`` takes: columns of the table, rows by column, maps by row, small pictures by number, presets, colour tables.

    Texts are numbered, since they repeat; maps are 256 steps of their largest size, signed ones around 128; ``seen`` is the box in
    shares of the picture that a map lies on; ``titles`` are what a reader is told that models and methods are called.
    """
    rows, shown = overview.table, shown_names(overview.facts)
    missing = missing_presets(overview)
    values: dict[str, Any] = {}
    columns = []
    for column in table_columns(overview.facts["scores"]):
        cells = [picked.row[column.name] for picked in rows]
        if any(cell is not None for cell in cells):
            columns.append(asdict(column))
            values[column.name] = _numbered(cells) if column.kind == "text" else [_short(cell) for cell in cells]
    return {
        "columns": columns,
        "values": values,
        "models": overview.models,
        "methods": overview.methods,
        "titles": {
            "models": [shown.models[name] for name in overview.models],
            "methods": [shown.methods[name] for name in overview.methods],
        },
        "model": [overview.models.index(picked.row["model"]) for picked in rows],
        "method": [overview.methods.index(picked.row["method"]) for picked in rows],
        "presets": [asdict(preset) | {"missing": missing.get(preset.name, "")} for preset in PRESETS],
        "maps": {str(place): packed_map(picked) for place, picked in enumerate(rows) if picked.map is not None},
        "thumbnails": {str(number): address for number, address in thumbnails.items()},
        "stride": overview.stride,
        "colours": {"map": _base64(table("viridis").tobytes()), "signed": _base64(diverging())},
    }


def packed_map(picked: PickedRow) -> dict[str, Any]:
    """A row's map as the browser takes it."""
    grid_map, row = picked.map, picked.row
    assert grid_map is not None  # noqa: S101  the caller has looked
    peak = float(np.abs(grid_map).max()) or 1.0
    signed = bool((grid_map < 0).any())
    levels = 127.5 * (grid_map / peak + 1) if signed else 255 * (grid_map / peak)
    sides = [row["height"], row["width"]] * 2
    return {
        "shape": list(grid_map.shape),
        "signed": signed,
        "cells": _base64(np.rint(levels).astype(np.uint8).tobytes()),
        "seen": [_short(row[side] / size) for side, size in zip(SEEN, sides, strict=True)],
        "aspect": _short(row["width"] / row["height"]),
    }


def _numbered(cells: Sequence[str | None]) -> dict[str, Any]:
    words = list(dict.fromkeys(cell for cell in cells if cell is not None))
    place = {word: number for number, word in enumerate(words)}
    return {"words": words, "index": [None if cell is None else place[cell] for cell in cells]}


def _short(cell: Any) -> Any:
    """A number to four digits; a flag as 0 or 1; None stays, and what is not finite is None."""
    if cell is None or isinstance(cell, bool):
        return None if cell is None else int(cell)
    if isinstance(cell, int):
        return cell
    return float(f"{cell:.4g}") if np.isfinite(cell) else None


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
