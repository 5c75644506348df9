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


def arrays(comparison: Comparison) -> dict[str, np.ndarray]:
    """Every array by name: ``cka/tokens/linear/value``, ``MODEL/fields``, ``MODEL/spectrum/LAYER``, ``shown/0/picture`` and so on."""
    by_name: dict[str, np.ndarray] = {}
    for (reading, kernel), alignment in comparison.cka.items():
        ends = {"value": alignment.value, "low": alignment.low, "high": alignment.high}
        by_name |= {f"cka/{reading}/{kernel}/{bound}": array for bound, array in ends.items() if array is not None}
    for model in comparison.models:
        for measure in ("norm", "similarity", "similarity_error", "rank", "stable_rank", "dead", "exploding"):
            by_name[f"{model.name}/{measure}"] = getattr(model, measure)
        by_name |= {f"{model.name}/spectrum/{layer.name}": curve for layer, curve in zip(model.layers, model.spectrum, strict=True)}
        for kind in ("fields", "operator"):
            if getattr(model, kind):
                by_name[f"{model.name}/{kind}"] = np.stack([receptive_field.weights for receptive_field in getattr(model, kind)])
        for head in model.heads:
            by_name |= {f"{model.name}/{head.name}/entropy": head.entropy, f"{model.name}/{head.name}/distance": head.distance}
        if model.answers is not None and model.confidence is not None:
            by_name |= {f"{model.name}/answers": model.answers, f"{model.name}/confidence": model.confidence}
    for number, shown in enumerate(comparison.shown):
        by_name[f"shown/{number}/picture"] = shown.picture
        for model, explained, layers in zip(comparison.models, shown.attributions, shown.layers, strict=True):
            if explained is not None:
                by_name[f"shown/{number}/attribution/{model.name}"] = explained.map
            for layer, drawn in zip(model.layers, layers, strict=True):
                by_name[f"shown/{number}/norms/{model.name}/{layer.name}"] = drawn.norms
                by_name[f"shown/{number}/profile/{model.name}/{layer.name}"] = drawn.profile
    return by_name


def tables(comparison: Comparison) -> dict[str, Columns]:
    """The tables by name, each as columns: ``layers``, ``heads``, ``cka``, ``images``, ``skipped``."""
    return {
        "layers": _columns(_layer_rows(comparison)),
        "heads": _columns(_head_rows(comparison)),
        "cka": _columns(_cka_rows(comparison)),
        "images": _columns(_image_rows(comparison)),
        "skipped": _columns([{"image": name, "reason": why} for name, why in comparison.skipped]),
    }


def comparison_facts(comparison: Comparison) -> dict[str, Any]:
    """What a reader of the arrays has to know, as JSON takes it: models, settings, what is missing, completeness of attributions."""
    return {
        "models": {
            model.name: {"family": model.family, "parameters": model.parameters, "size": list(model.size)} for model in comparison.models
        },
        "layers": {model.name: [asdict(layer) | {"stride": layer.stride} for layer in model.layers] for model in comparison.models},
        "settings": comparison.settings,
        "missing": comparison.missing
        | {f"{model.name}: {measure}": why for model in comparison.models for measure, why in model.missing.items()},
        "attributions": [
            {
                "image": shown.name,
                "class": shown.label,
                "models": {
                    model.name: {"log_p": attribution.score, "log_p_of_baseline": attribution.base, "gap": attribution.gap}
                    for model, attribution in zip(comparison.models, shown.attributions, strict=True)
                    if attribution is not None
                },
            }
            for shown in comparison.shown
        ],
        "made_with": comparison.facts,
        "seconds": round(comparison.seconds, 2),
    }


def save_arrays(comparison: Comparison, folder: str | os.PathLike[str]) -> Path:
    """Write comparison.npz, comparison.json and a Parquet file for each table with rows; the folder. VizlibError where that fails."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    home = Path(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(home / "comparison.npz", **arrays(comparison))  # type: ignore[arg-type]
        for name, columns in tables(comparison).items():
            if columns:
                parquet.write_table(pa.table(columns), home / f"{name}.parquet")
            else:
                (home / f"{name}.parquet").unlink(missing_ok=True)
        (home / "comparison.json").write_text(
            json.dumps(comparison_facts(comparison), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise VizlibError(f"The arrays cannot be written to {home}: {error.strerror or error}.") from error
    return home


def _layer_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for model in comparison.models:
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


def _head_rows(comparison: Comparison) -> list[dict[str, Any]]:
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
        for model in comparison.models
        for site in model.heads
        for head, (entropy, distance) in enumerate(zip(site.entropy, site.distance, strict=True))
    ]


def _cka_rows(comparison: Comparison) -> list[dict[str, Any]]:
    places = [(model.name, layer.name) for model in comparison.models for layer in model.layers]
    rows = []
    for (reading, kernel), alignment in comparison.cka.items():
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
                        "cka": float(alignment.value[i, j]),
                        "low": None if alignment.low is None else float(alignment.low[i, j]),
                        "high": None if alignment.high is None else float(alignment.high[i, j]),
                    }
                )
    return rows


def _image_rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"image": name} for name in comparison.images]
    for model in comparison.models:
        for number, row in enumerate(rows):
            answered = model.answers is not None and model.confidence is not None
            row[f"{model.name}_answer"] = int(model.answers[number]) if answered else None  # type: ignore[index]
            row[f"{model.name}_probability"] = float(model.confidence[number]) if answered else None  # type: ignore[index]
    return rows


def _columns(rows: list[dict[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
