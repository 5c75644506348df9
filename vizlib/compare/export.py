"""A comparison as arrays and tables: NPZ for what has a shape, Parquet for what has rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    import os

    from vizlib.compare.result import Comparison

Columns = dict[str, list[Any]]


def arrays(found: Comparison) -> dict[str, np.ndarray]:
    """Every array by name: ``cka/tokens/linear/value``, ``MODEL/fields``, ``MODEL/spectrum/LAYER``, ``shown/0/picture`` and so on."""
    made: dict[str, np.ndarray] = {}
    for (reading, kernel), one in found.cka.items():
        ends = {"value": one.value, "low": one.low, "high": one.high}
        made |= {f"cka/{reading}/{kernel}/{what}": array for what, array in ends.items() if array is not None}
    for model in found.models:
        for what in ("norm", "similarity", "similarity_error", "rank", "stable_rank", "dead", "exploding"):
            made[f"{model.name}/{what}"] = getattr(model, what)
        made |= {f"{model.name}/spectrum/{layer.name}": curve for layer, curve in zip(model.layers, model.spectrum, strict=True)}
        for what in ("fields", "operator"):
            if getattr(model, what):
                made[f"{model.name}/{what}"] = np.stack([one.weights for one in getattr(model, what)])
        for head in model.heads:
            made |= {f"{model.name}/{head.name}/entropy": head.entropy, f"{model.name}/{head.name}/distance": head.distance}
        if model.answers is not None and model.confidence is not None:
            made |= {f"{model.name}/answers": model.answers, f"{model.name}/confidence": model.confidence}
    for number, shown in enumerate(found.shown):
        made[f"shown/{number}/picture"] = shown.picture
        for model, explained, layers in zip(found.models, shown.attributions, shown.layers, strict=True):
            if explained is not None:
                made[f"shown/{number}/attribution/{model.name}"] = explained.map
            for layer, drawn in zip(model.layers, layers, strict=True):
                made[f"shown/{number}/norms/{model.name}/{layer.name}"] = drawn.norms
                made[f"shown/{number}/profile/{model.name}/{layer.name}"] = drawn.profile
    return made


def tables(found: Comparison) -> dict[str, Columns]:
    """The tables by name, each as columns: ``layers``, ``heads``, ``cka``, ``images``, ``skipped``."""
    return {
        "layers": _columns(_layer_rows(found)),
        "heads": _columns(_head_rows(found)),
        "cka": _columns(_cka_rows(found)),
        "images": _columns(_image_rows(found)),
        "skipped": _columns([{"image": name, "reason": why} for name, why in found.skipped]),
    }


def about(found: Comparison) -> dict[str, Any]:
    """What a reader of the arrays has to know, as JSON takes it: models, settings, what is missing, completeness of attributions."""
    return {
        "models": {
            model.name: {"family": model.family, "parameters": model.parameters, "size": list(model.size)} for model in found.models
        },
        "layers": {model.name: [asdict(layer) | {"stride": layer.stride} for layer in model.layers] for model in found.models},
        "settings": found.settings,
        "missing": found.missing | {f"{model.name}: {what}": why for model in found.models for what, why in model.missing.items()},
        "attributions": [
            {
                "image": shown.name,
                "class": shown.label,
                "models": {
                    model.name: {"log_p": one.score, "log_p_of_baseline": one.base, "gap": one.gap}
                    for model, one in zip(found.models, shown.attributions, strict=True)
                    if one is not None
                },
            }
            for shown in found.shown
        ],
        "made_with": found.facts,
        "seconds": round(found.seconds, 2),
    }


def save_arrays(found: Comparison, folder: str | os.PathLike[str]) -> Path:
    """Write comparison.npz, comparison.json and a Parquet file for each table with rows; the folder. VizlibError where that fails."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(home / "comparison.npz", **arrays(found))  # type: ignore[arg-type]
        for name, columns in tables(found).items():
            if columns:
                parquet.write_table(pa.table(columns), home / f"{name}.parquet")
            else:
                (home / f"{name}.parquet").unlink(missing_ok=True)
        (home / "comparison.json").write_text(json.dumps(about(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise VizlibError(f"The arrays cannot be written to {home}: {error.strerror or error}.") from error
    return home


def _layer_rows(found: Comparison) -> list[dict[str, Any]]:
    rows = []
    for model in found.models:
        measured = zip(
            model.layers, model.norm, model.similarity, model.similarity_error, model.rank, model.stable_rank, model.high_frequency,
            model.dead, model.exploding, strict=True,
        )  # fmt: skip
        for index, (layer, norm, alike, error, rank, stable, high, dead, exploding) in enumerate(measured):
            rows.append(
                {
                    "model": model.name,
                    "layer": layer.name,
                    "depth": layer.depth,
                    "stride": layer.stride,
                    "rows": layer.grid[0],
                    "columns": layer.grid[1],
                    "channels": layer.channels,
                    "norm": float(norm),
                    "token_similarity": float(alike),
                    "token_similarity_error": float(error),
                    "effective_rank": float(rank),
                    "stable_rank": float(stable),
                    "high_frequency": float(high),
                    "dead": int(dead),
                    "exploding": int(exploding),
                    "field_reach": model.fields[index].reach if model.fields else None,
                    "operator_reach": model.operator[index].reach if model.operator else None,
                }
            )
    return rows


def _head_rows(found: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "model": model.name,
            "attention": site.name,
            "depth": site.depth,
            "head": head,
            "entropy_bits": float(entropy),
            "distance_pixels": float(distance),
            "distance_share": float(distance) / model.diagonal,
        }
        for model in found.models
        for site in model.heads
        for head, (entropy, distance) in enumerate(zip(site.entropy, site.distance, strict=True))
    ]


def _cka_rows(found: Comparison) -> list[dict[str, Any]]:
    places = [(model.name, layer.name) for model in found.models for layer in model.layers]
    rows = []
    for (reading, kernel), one in found.cka.items():
        for i, (model_a, layer_a) in enumerate(places):
            for j, (model_b, layer_b) in enumerate(places):
                rows.append(
                    {
                        "reading": reading,
                        "kernel": kernel,
                        "model_a": model_a,
                        "layer_a": layer_a,
                        "model_b": model_b,
                        "layer_b": layer_b,
                        "cka": float(one.value[i, j]),
                        "low": None if one.low is None else float(one.low[i, j]),
                        "high": None if one.high is None else float(one.high[i, j]),
                    }
                )
    return rows


def _image_rows(found: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"image": name} for name in found.images]
    for model in found.models:
        for number, row in enumerate(rows):
            known = model.answers is not None and model.confidence is not None
            row[f"{model.name}_answer"] = int(model.answers[number]) if known else None  # type: ignore[index]
            row[f"{model.name}_probability"] = float(model.confidence[number]) if known else None  # type: ignore[index]
    return rows


def _columns(rows: list[dict[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
