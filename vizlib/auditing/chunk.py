"""One chunk of an audit: pictures decoded, explained by every method and put into two files, as bytes."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.auditing.map_statistics import kept_grid, map_statistics, region_statistics
from vizlib.auditing.pictures import read_sources
from vizlib.errors import ImageError, MethodError, TargetError, VizlibError
from vizlib.explainers.api import explain, ranked, trace
from vizlib.explainers.targets import class_index
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.pictures import AuditPicture
    from vizlib.auditing.plan import ChunkPlan, MethodPlan
    from vizlib.engine.jobs import Progress
    from vizlib.explainers.explanation import Explanation
    from vizlib.geometry import Geometry
    from vizlib.zoo.model import Model

COLUMNS: dict[str, str] = {
    "picture": "int64", "path": "string", "model": "string", "method": "string", "error": "string",
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


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A picture of a chunk by its ``number`` there, as pixels, with its mask, bool (H, W), where it has one."""

    number: int
    picture: AuditPicture
    image: np.ndarray
    mask: np.ndarray | None


def audit_chunk(model: Model, *, plan: ChunkPlan, progress: Progress) -> Part:
    """The part of a chunk. A picture that cannot be read or explained has a row that says why; AuditError where a table is gone."""
    rows: list[dict[str, Any]] = []
    maps: dict[str, list[np.ndarray]] = {}
    failed: list[tuple[str, str]] = []
    readable: list[_Decoded] = []
    for number, (picture, source) in enumerate(zip(plan.pictures, read_sources(plan.pictures), strict=True)):
        try:
            image = decoded(source)
            readable.append(_Decoded(number, picture, image, _mask(picture, image)))
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
    arrays: dict[str, np.ndarray] = {name: np.stack(kept) for name, kept in maps.items()}
    if plan.heads:
        heads, counts = _heads(model, plan, readable)
        arrays |= heads
        for row in rows:
            row["artifacts"] = counts.get(row["picture"] - plan.first)
    if plan.features:
        arrays |= _features(model, plan, readable)
    rows.sort(key=lambda row: row["picture"])
    return Part(rows_parquet(rows), arrays_npz(arrays), len(plan.pictures), tuple(failed))


def _mask(picture: AuditPicture, image: np.ndarray) -> np.ndarray | None:
    """Where the object is, bool (H, W); ImageError for a mask that cannot be read or is of another size."""
    if picture.mask is None:
        return None
    mask = read_image(picture.mask).max(2) > 0
    if mask.shape != image.shape[:2]:
        sizes = " and the picture ".join(f"{shape[0]} x {shape[1]}" for shape in (mask.shape, image.shape))
        raise ImageError(f"The mask {picture.mask.name} is {sizes}.")
    return mask


def decoded(source: Any) -> np.ndarray:
    """A picture uint8 (h, w, 3) of a path, bytes, an array, or a tensor (1 or 3, h, w) with colours from 0 to 1; else ImageError."""
    if isinstance(source, ImageError):
        raise source
    if isinstance(source, torch.Tensor):
        if source.ndim != 3 or source.shape[0] not in (1, 3):
            raise ImageError(f"A data set's tensor is (3, h, w) with colours from 0 to 1, not {tuple(source.shape)}.")
        values = source.detach().cpu().float()
        if not bool(torch.isfinite(values).all()) or float(values.min()) < -1e-6 or float(values.max()) > 1 + 1e-6:
            raise ImageError("A data set's tensor holds colours from 0 to 1: leave its normalisation out, since each model has its own.")
        source = (values.expand(3, -1, -1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return read_image(source)


def _explained(model: Model, plan: ChunkPlan, method: MethodPlan, readable: Sequence[_Decoded]) -> list[Explanation | VizlibError]:
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
    label = _own_label(plan, picture)
    return TargetError(f"It has no label that {plan.model.name} knows.") if label is None else label


def _own_label(plan: ChunkPlan, picture: AuditPicture) -> int | None:
    classes = plan.model.classes
    return classes[picture.label] if picture.label is not None and picture.label < len(classes) else None


def _row(plan: ChunkPlan, number: int, picture: AuditPicture) -> dict[str, Any]:
    return {"picture": plan.first + number, "path": picture.name, "model": plan.model.name}


def _answer(model: Model, plan: ChunkPlan, picture: AuditPicture, explanation: Explanation) -> dict[str, Any]:
    """What the model answered, and how that stands to the label."""
    if not model.num_classes:
        return {}
    logits = torch.from_numpy(explanation.logits)
    first = ranked(model, logits, 1)[0]
    facts: dict[str, Any] = {
        "prediction": first.index, "predicted": first.label, "probability": first.probability, "target": explanation.label,
    }  # fmt: skip
    label = _own_label(plan, picture)
    if label is None:
        return facts
    shares = model.probabilities(logits.double())
    rank = int((logits > logits[label]).sum()) + 1
    return facts | {
        "label": label, "label_name": model.label(label), "label_probability": float(shares[label]), "label_rank": rank,
        "right": first.index == label,
    }  # fmt: skip


def _map_facts(one: _Decoded, explanation: Explanation, grid_map: np.ndarray) -> dict[str, Any]:
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


def _region(one: _Decoded, geometry: Geometry) -> np.ndarray | None:
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


def _heads(model: Model, plan: ChunkPlan, readable: Sequence[_Decoded]) -> tuple[dict[str, np.ndarray], dict[int, int]]:
    """Entropy (bits) and distance (pixels) of every head over the whole grid, (pictures of the chunk, heads) by attention, and how many
    cells stand out by their norm, by picture. NaN for a picture that was not read; attention inside windows has no such rows."""
    from vizlib.analysis.attention.artifact_tokens import artifact_cells, norms
    from vizlib.analysis.attention.head_statistics import head_statistics

    arrays: dict[str, np.ndarray] = {}
    counts: dict[int, int] = {}
    for one in readable:
        try:
            found: Any = trace(model, model.prepare(one.image, plan.fit)[0])
        except VizlibError:
            continue  # its rows say why it has no map either
        size = model.geometry(one.image.shape[:2], plan.fit).input_size
        counts[one.number] = sum(len(cells) for cells in artifact_cells(norms(found)).values())
        for site in found.attention:
            try:
                statistics = head_statistics(site, size)
            except MethodError:
                continue  # inside windows
            for measure in ("entropy", "distance"):
                values = getattr(statistics, measure)
                whole = arrays.setdefault(f"{measure}.{site.name}", np.full((len(plan.pictures), len(values)), np.nan, np.float32))
                whole[one.number] = values
    return arrays, counts


def _features(model: Model, plan: ChunkPlan, readable: Sequence[_Decoded]) -> dict[str, np.ndarray]:
    """The mean over cells of every layer, float32 (pictures of the chunk, channels), by "features.NUMBER.LAYER"; NaN for what was not read.

    Not float16: single channels of large transformers reach beyond it.
    """
    from vizlib.analysis.features.layers import read

    arrays: dict[str, np.ndarray] = {}
    for one in readable:
        try:
            reading = read(model, model.prepare(one.image, plan.fit))
        except VizlibError:
            continue  # its rows say why it has no map either
        for number, (layer, states) in enumerate(zip(reading.layers, reading.states, strict=True)):
            pooled = states[0].double().mean(0).float().cpu().numpy()
            name = f"features.{number:03d}.{layer.name}"
            arrays.setdefault(name, np.full((len(plan.pictures), len(pooled)), np.nan, np.float32))[one.number] = pooled
    return arrays


def rows_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows by column as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    table = pa.Table.from_pydict({name: [row.get(name) for row in rows] for name in COLUMNS}, schema=schema)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def arrays_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as the bytes of an NPZ file."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()
