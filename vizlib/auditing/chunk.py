"""One chunk of an audit: pictures decoded, explained by every method and put into two files, as bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.auditing.map_statistics import kept_grid, map_statistics, region_statistics
from vizlib.auditing.pictures import read_sources
from vizlib.errors import AuditError, ImageError, VizlibError
from vizlib.explainers.api import explain, ranked, trace
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.pictures import AuditPicture
    from vizlib.auditing.plan import ChunkPlan, MethodPlan
    from vizlib.engine.jobs import Progress
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

COLUMNS: dict[str, str] = {
    "picture": "int64", "path": "string", "model": "string", "method": "string", "error": "string",
    "label": "int32", "label_name": "string", "prediction": "int32", "predicted": "string", "probability": "float32",
    "label_probability": "float32", "label_rank": "int32", "right": "bool", "target": "string",
    "evenness": "float32", "centre_row": "float32", "centre_column": "float32", "strongest": "float32", "cells": "int32", "sink": "float32",
    "region_share": "float32", "region_area": "float32", "pointing": "float32", "map": "int32", "scale": "float32",
    "artifacts": "int32", "note": "string",
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
    """The part of a chunk. A picture that cannot be read or explained has a row that says why; AuditError where a source is gone."""
    rows: list[dict[str, Any]] = []
    maps: dict[str, list[np.ndarray]] = {}
    failed: list[tuple[str, str]] = []
    readable: list[tuple[int, AuditPicture, np.ndarray]] = []
    for number, (picture, source) in enumerate(zip(plan.pictures, read_sources(plan.pictures), strict=True)):
        try:
            readable.append((number, picture, decoded(source)))
        except ImageError as error:
            rows.append(_row(plan, number, picture) | {"error": str(error)})
            failed.append((picture.name, str(error)))
    for method in plan.methods:
        progress.check()
        for (number, picture, _), result in zip(readable, _explained(model, plan, method, readable), strict=True):
            row = _row(plan, number, picture) | {"method": method.name}
            if isinstance(result, VizlibError):
                rows.append(row | {"error": str(result)})
                failed.append((picture.name, f"{method.name}: {result}"))
                continue
            kept = maps.setdefault(method.name, [])
            grid_map, scale = _float16(kept_grid(result.input_map, result.stages))
            rows.append(row | _answer(model, plan, picture, result) | _map_facts(picture, result) | {"map": len(kept), "scale": scale})
            kept.append(grid_map)
        progress(len(plan.pictures))
    arrays: dict[str, np.ndarray] = {name: np.stack(kept) for name, kept in maps.items()}
    if plan.heads:
        heads, counts = _heads(model, readable, plan.fit)
        arrays |= heads
        for row in rows:
            row["artifacts"] = counts.get(row["picture"] - plan.first)
    rows.sort(key=lambda row: row["picture"])
    return Part(_parquet(rows), _npz(arrays), len(plan.pictures), tuple(failed))


def decoded(source: Any) -> np.ndarray:
    """A picture uint8 (h, w, 3) of a path, bytes, an array, or a tensor (1 or 3, h, w) with colours from 0 to 1; else ImageError."""
    if isinstance(source, torch.Tensor):
        if source.ndim != 3 or source.shape[0] not in (1, 3):
            raise ImageError(f"A data set's tensor is (3, h, w) with colours from 0 to 1, not {tuple(source.shape)}.")
        values = source.detach().cpu().float()
        if not bool(torch.isfinite(values).all()) or float(values.min()) < -1e-6 or float(values.max()) > 1 + 1e-6:
            raise ImageError("A data set's tensor holds colours from 0 to 1: leave its normalisation out, since each model has its own.")
        source = (values.expand(3, -1, -1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return read_image(source)


def _explained(
    model: Model, plan: ChunkPlan, method: MethodPlan, readable: Sequence[tuple[int, AuditPicture, np.ndarray]]
) -> list[Explanation | VizlibError]:
    """The explanations in order; where a batch fails, each picture alone, and the reason for those that fail."""
    images = [image for _, _, image in readable]
    targets = [_target(model, plan, picture) for _, picture, _ in readable]

    def run(some: list[np.ndarray], wanted: list[Any]) -> list[Explanation]:
        chosen: Any = None if all(target is None for target in wanted) else wanted
        found: Any = explain(model, some, method.method, target=chosen, fit=plan.fit, **method.options)
        return list(found)

    if not images:
        return []
    try:
        return list(run(images, targets))
    except VizlibError:
        results: list[Explanation | VizlibError] = []
        for image, target in zip(images, targets, strict=True):
            try:
                results += run([image], [target])
            except VizlibError as error:
                results.append(error)
        return results


def _target(model: Model, plan: ChunkPlan, picture: AuditPicture) -> Any:
    """The class that is explained: None is the prediction."""
    if plan.target == "prediction" or not model.num_classes:
        return None
    if plan.target == "label":
        return _own_label(plan, picture)
    return int(plan.target) if plan.target.isdecimal() else plan.target


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
    facts: dict[str, Any] = {"prediction": first.index, "predicted": first.label, "probability": first.probability}
    facts["target"] = explanation.label
    label = _own_label(plan, picture)
    if label is None:
        return facts
    shares = model.probabilities(logits.double())
    rank = int((logits > logits[label]).sum()) + 1
    return facts | {
        "label": label, "label_name": model.label(label), "label_probability": float(shares[label]), "label_rank": rank,
        "right": first.index == label,
    }  # fmt: skip


def _map_facts(picture: AuditPicture, explanation: Explanation) -> dict[str, Any]:
    """The numbers of the map, and how much of it lies in the picture's box or mask."""
    statistics = map_statistics(kept_grid(explanation.input_map, explanation.stages))
    facts = {name: getattr(statistics, name) for name in ("evenness", "centre_row", "centre_column", "strongest", "cells")}
    facts |= {"sink": explanation.sink, "note": " ".join(explanation.notes) or None}
    region = _region(picture, explanation)
    numbers = None if region is None else region_statistics(explanation.input_map, region, explanation.geometry.content)
    if numbers is None:
        return facts
    return facts | {"region_share": numbers.share, "region_area": numbers.area, "pointing": numbers.pointing}


def _region(picture: AuditPicture, explanation: Explanation) -> np.ndarray | None:
    """The box or mask on the model's input, bool (h, w): pixels whose centre lies in it."""
    geometry = explanation.geometry
    height, width = geometry.input_size
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    if picture.mask is not None:
        shape = read_image(picture.mask).max(2) > 0
        if shape.shape != geometry.image_size:
            raise AuditError(f"The mask of {picture.name} is {shape.shape[0]} x {shape.shape[1]} and the picture {geometry.image_size}.")
        y = np.clip(np.floor((rows - geometry.offset[0]) / geometry.scale[0]).astype(int), 0, shape.shape[0] - 1)
        x = np.clip(np.floor((columns - geometry.offset[1]) / geometry.scale[1]).astype(int), 0, shape.shape[1] - 1)
        return shape[y[:, None], x[None]]
    if picture.box is None:
        return None
    x0, y0, x1, y1 = picture.box
    top, left, bottom, right = geometry.box_to_input([y0, x0, y1 + 1, x1 + 1])
    return ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None]


def _float16(grid_map: np.ndarray) -> tuple[np.ndarray, float]:
    """A map over its largest size, float16 within -1 and 1, and that size: shares of a rollout would be lost in float16 as they are."""
    scale = float(np.abs(grid_map).max())
    return (grid_map / scale if scale else grid_map).astype(np.float16), scale


def _heads(
    model: Model, readable: Sequence[tuple[int, AuditPicture, np.ndarray]], fit: str | None
) -> tuple[dict[str, np.ndarray], dict[int, int]]:
    """Entropy (bits) and distance (pixels) of every head, (pictures, heads) by attention, and how many cells stand out by their norm."""
    from vizlib.analysis.attention.artifact_tokens import artifact_cells, norms
    from vizlib.analysis.attention.head_statistics import head_statistics

    arrays: dict[str, list[np.ndarray]] = {}
    counts: dict[int, int] = {}
    for number, _, image in readable:
        found: Any = trace(model, model.prepare(image, fit)[0])
        size = model.geometry(image.shape[:2], fit).input_size
        counts[number] = sum(len(cells) for cells in artifact_cells(norms(found)).values())
        for site in found.attention:
            try:
                statistics = head_statistics(site, size)
            except VizlibError:
                continue  # attention inside windows has no rows over the whole grid
            arrays.setdefault(f"entropy.{site.name}", []).append(statistics.entropy.astype(np.float32))
            arrays.setdefault(f"distance.{site.name}", []).append(statistics.distance.astype(np.float32))
    return {name: np.stack(values) for name, values in arrays.items()}, counts


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    table = pa.Table.from_pydict({name: [row.get(name) for row in rows] for name in COLUMNS}, schema=schema)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()
