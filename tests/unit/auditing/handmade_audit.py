"""Audits whose rows and maps are written by hand, so that every number of an overview can be worked out beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.chunk import COLUMNS, arrays_npz, rows_parquet
from vizlib.auditing.plan import FORMAT, begin, write_part
from vizlib.auditing.result import Audit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Made = tuple[dict[str, Any], np.ndarray | None]
CHUNK = 8


def handmade(
    folder: Path,
    pictures: int,
    make: Callable[[int, str, str], Made],
    *,
    models: Sequence[str] = ("m",),
    methods: Sequence[str] = ("rollout",),
    data: str = "",
    heads: Callable[[str, int], dict[str, np.ndarray]] | None = None,
    features: Callable[[str, Sequence[int]], dict[str, np.ndarray]] | None = None,
    lens: Callable[[str, Sequence[int]], dict[str, np.ndarray]] | None = None,
    scores: Sequence[str] = (),
    chunk: int = CHUNK,
) -> Audit:
    """The audit whose row and map of each (picture, model, method) are what ``make`` gives; a map of None is a failure."""
    facts = {
        "format": FORMAT, "pictures": pictures, "data": data, "classes": [], "target": "prediction", "fit": None, "chunk": chunk,
        "models": [{"name": name, "weights": "0" * 64, "classes": [], "matched": "name", "no_lens": ""} for name in models],
        "methods": [{"name": name, "method": name, "options": {}} for name in methods],
        "heads": heads is not None, "features": features is not None, "lens": lens is not None, "scores": list(scores), "made_with": {},
    }  # fmt: skip
    begin(folder, facts)
    for model_number, model in enumerate(models):
        for number in range(-(-pictures // chunk)):
            rows: list[dict[str, Any]] = []
            maps: dict[str, list[np.ndarray]] = {method: [] for method in methods}
            chosen = range(number * chunk, min(pictures, (number + 1) * chunk))
            for picture in chosen:
                for method in methods:
                    row, grid_map = make(picture, model, method)
                    full = dict.fromkeys(COLUMNS) | {"picture": picture, "path": f"{picture}.png", "model": model, "method": method}
                    full |= {"height": 40, "width": 60, "seen_top": 0, "seen_left": 10, "seen_bottom": 40, "seen_right": 50}
                    if grid_map is not None:
                        scale = float(np.abs(grid_map).max()) or 1.0
                        full |= {"map": len(maps[method]), "scale": scale}
                        maps[method].append((grid_map / scale).astype(np.float16))
                    rows.append(full | row)
            arrays = {method: np.stack(kept) for method, kept in maps.items() if kept}
            if heads:
                arrays |= heads(model, len(chosen))
            if features:
                arrays |= features(model, chosen)
            if lens:
                arrays |= lens(model, chosen)
            stem = f"part-{model_number:02d}-{number:06d}"
            write_part(folder / "maps" / f"{stem}.npz", arrays_npz(arrays))
            write_part(folder / "pictures" / f"{stem}.parquet", rows_parquet(rows, scores))
    return Audit(folder)
