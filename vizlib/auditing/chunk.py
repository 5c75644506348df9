"""One chunk of an audit: pictures decoded, explained by every method and put into two files, as bytes."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.auditing.decoding import Decoded, decoded, mask_of
from vizlib.auditing.extra_passes import feature_arrays, head_arrays, lens_arrays, own_label, score_rows
from vizlib.auditing.map_statistics import kept_grid, map_statistics, region_statistics
from vizlib.auditing.pictures import read_sources
from vizlib.errors import ImageError, TargetError, VizlibError
from vizlib.explainers.api import explain, ranked
from vizlib.explainers.targets import class_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.pictures import AuditPicture
    from vizlib.auditing.plan import ChunkPlan, MethodPlan
    from vizlib.engine.jobs import Progress
    from vizlib.explainers.explanation import Explanation
    from vizlib.geometry import Geometry
    from vizlib.zoo.model import Model

COLUMNS: dict[str, str] = {
    "picture": "int64", "path": "string", "model": "string", "method": "string", "error": "string", "class": "int32",
    "label": "int32", "label_name": "string", "prediction": "int32", "predicted": "string", "probability": "float32",
    "label_probability": "float32", "label_rank": "int32", "right": "bool", "target": "string",
    "evenness": "float32", "centre_row": "float32", "centre_column": "float32", "strongest": "float32", "cells": "int32", "sink": "float32",
    "region_share": "float32", "region_area": "float32", "pointing": "float32", "map": "int32", "scale": "float32",
    "artifacts": "int32", "note": "string", "height": "int32", "width": "int32",
    "seen_top": "float32", "seen_left": "float32", "seen_bottom": "float32", "seen_right": "float32",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The files of a chunk as bytes: ``rows`` Parquet, ``maps`` NPZ; how many pictures, and (name, reason) of those without a map."""

    rows: bytes
    maps: bytes
    pictures: int
    failed: tuple[tuple[str, str], ...]

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return len(self.rows) + len(self.maps)


def audit_chunk(model: Model, *, plan: ChunkPlan, progress: Progress) -> Part:
    """The part of a chunk. A picture that cannot be read or explained has a row that says why; AuditError where a table is gone."""
    rows: list[dict[str, Any]] = []
    maps: dict[str, list[np.ndarray]] = {}
    failed: list[tuple[str, str]] = []
    readable: list[Decoded] = []
    explained: dict[int, tuple[Decoded, dict[str, Explanation]]] = {}
    for number, (picture, source) in enumerate(zip(plan.pictures, read_sources(plan.pictures), strict=True)):
        try:
            image = decoded(source)
            readable.append(Decoded(number, picture, image, mask_of(picture, image)))
        except ImageError as error:
            rows.append(_row(plan, number, picture) | {"error": str(error)})
            failed.append((picture.name, str(error)))
    for done, method in enumerate(plan.methods):
        progress(done, len(plan.methods))
        for one, result in zip(readable, _explained(model, plan, method, readable), strict=True):
            row = _row(plan, one.number, one.picture) | {"method": method.name}
            if isinstance(result, VizlibError):
                rows.append(row | {"error": str(result)})
                failed.append((one.picture.name, f"{method.name}: {result}"))
                continue
            kept = maps.setdefault(method.name, [])
            grid_map = kept_grid(result.input_map, result.stages)
            narrow, scale = _float16(grid_map)
            facts = _map_facts(one, result, grid_map) | {"map": len(kept), "scale": scale}
            rows.append(row | _answer(model, plan, one.picture, result) | facts)
            kept.append(narrow)
            if plan.scores:
                explained.setdefault(one.number, (one, {}))[1][method.name] = result
    arrays: dict[str, np.ndarray] = {name: np.stack(kept) for name, kept in maps.items()}
    if plan.heads:
        heads, counts = head_arrays(model, plan, readable)
        arrays |= heads
        for row in rows:
            row["artifacts"] = counts.get(row["picture"] - plan.first)
    if plan.features:
        arrays |= feature_arrays(model, plan, readable)
    if plan.lens and not plan.model.no_lens:
        arrays |= lens_arrays(model, plan, readable)
    scores = score_rows(model, plan, explained)
    for row in rows:
        row.update(scores.get((row["picture"] - plan.first, row.get("method", "")), {}))
    rows.sort(key=lambda row: row["picture"])
    return Part(rows_parquet(rows, plan.scores), arrays_npz(arrays), len(plan.pictures), tuple(failed))


def _explained(model: Model, plan: ChunkPlan, method: MethodPlan, readable: Sequence[Decoded]) -> list[Explanation | VizlibError]:
    """The explanation of each in order, or the reason why there is none; where a batch fails, each picture is tried alone."""
    wanted = [_target(model, plan, one.picture) for one in readable]
    asked = [place for place, target in enumerate(wanted) if not isinstance(target, VizlibError)]

    def run(places: Sequence[int]) -> list[Explanation]:
        targets: Any = [wanted[place] for place in places]
        found: Any = explain(
            model,
            [readable[place].image for place in places],
            method.method,
            target=None if plan.target == "prediction" else targets,
            fit=plan.fit,
            **method.options,
        )
        return list(found)

    results: dict[int, Explanation | VizlibError] = {}
    try:
        results = dict(zip(asked, run(asked), strict=True)) if asked else {}
    except VizlibError:
        for place in asked:
            try:
                results[place] = run([place])[0]
            except VizlibError as error:
                results[place] = error
    return [results.get(place, target) for place, target in enumerate(wanted)]


def _target(model: Model, plan: ChunkPlan, picture: AuditPicture) -> Any:
    """The class that is explained, None for the prediction; for a picture without the label that is asked for, the reason as an error."""
    if plan.target == "prediction":
        return None
    if plan.target != "label":
        return class_index(model, int(plan.target) if plan.target.isdecimal() else plan.target)
    label = own_label(plan, picture)
    return TargetError(f"It has no label that {plan.model.name} knows.") if label is None else label


def _row(plan: ChunkPlan, number: int, picture: AuditPicture) -> dict[str, Any]:
    return {"picture": plan.first + number, "path": picture.name, "model": plan.model.name, "class": picture.label}


def _answer(model: Model, plan: ChunkPlan, picture: AuditPicture, explanation: Explanation) -> dict[str, Any]:
    """What the model answered, and how that stands to the label."""
    if not model.num_classes:
        return {}
    logits = torch.from_numpy(explanation.logits)
    first = ranked(model, logits, 1)[0]
    facts: dict[str, Any] = {
        "prediction": first.index, "predicted": first.label, "probability": first.probability, "target": explanation.label,
    }  # fmt: skip
    label = own_label(plan, picture)
    if label is None:
        return facts
    shares = model.probabilities(logits.double())
    rank = int((logits > logits[label]).sum()) + 1
    return facts | {
        "label": label, "label_name": model.label(label), "label_probability": float(shares[label]), "label_rank": rank,
        "right": first.index == label,
    }  # fmt: skip


def _map_facts(one: Decoded, explanation: Explanation, grid_map: np.ndarray) -> dict[str, Any]:
    """The numbers of the map, and how much of it lies in the picture's box or mask."""
    facts: dict[str, Any] = asdict(map_statistics(grid_map))
    facts |= {"sink": explanation.sink, "note": " ".join(explanation.notes) or None} | _seen(explanation.geometry)
    region = _region(one, explanation.geometry)
    numbers = None if region is None else region_statistics(explanation.input_map, region, explanation.geometry.content)
    if numbers is None:
        return facts
    return facts | {"region_share": numbers.share, "region_area": numbers.area, "pointing": numbers.pointing}


def _seen(geometry: Geometry) -> dict[str, Any]:
    """The picture's size and the box in it that the map lies on, in its pixels: beyond its edges where the input is padded."""
    box = geometry.box_to_image([0, 0, *geometry.input_size])
    names = ("seen_top", "seen_left", "seen_bottom", "seen_right")
    return {"height": geometry.image_size[0], "width": geometry.image_size[1]} | dict(zip(names, map(float, box), strict=True))


def _region(one: Decoded, geometry: Geometry) -> np.ndarray | None:
    """The box or mask on the model's input, bool (h, w): pixels whose centre lies in it."""
    centres = [np.arange(side) + 0.5 for side in geometry.input_size]
    if one.mask is not None:
        places = [
            np.clip(((centre - geometry.offset[axis]) / geometry.scale[axis]).astype(int), 0, one.mask.shape[axis] - 1)
            for axis, centre in enumerate(centres)
        ]
        return one.mask[np.ix_(*places)]
    if one.picture.box is None:
        return None
    x0, y0, x1, y1 = one.picture.box
    top, left, bottom, right = geometry.box_to_input([y0, x0, y1 + 1, x1 + 1])
    rows, columns = centres
    return ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None]


def _float16(grid_map: np.ndarray) -> tuple[np.ndarray, float]:
    """A map over its largest size, float16 within -1 and 1, and that size: shares of a rollout would be lost in float16 as they are."""
    scale = float(np.abs(grid_map).max())
    return (grid_map / scale if scale else grid_map).astype(np.float16), scale


def rows_parquet(rows: Sequence[dict[str, Any]], scores: Sequence[str] = ()) -> bytes:
    """Rows by column, with two columns for each of ``scores``, as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    kinds = COLUMNS | {f"{part}_{name}": "float32" for name in scores for part in ("score", "gaussian")}
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in kinds.items()])
    table = pa.Table.from_pydict({name: [row.get(name) for row in rows] for name in kinds}, schema=schema)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def arrays_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as the bytes of an NPZ file."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()
