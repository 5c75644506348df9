"""What the pyramid component draws: the maps of every stage of a model, and how their cells lie on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.model_marks import family_name
from vizlib.ui.components._lib import viridis
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

MOST_TILES = 16


@dataclass(frozen=True, eq=False)
class FeaturePyramid:
    """One model's stages on one picture: ``facts`` for the component's header and the page's table, ``arrays`` for the browser."""

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def levels(self) -> list[dict[str, Any]]:
        """Name, grid, channels, energy and octaves of each stage."""
        return self.facts["levels"]


def pack_feature_pyramid(groups: Sequence[FeaturePyramid], title: str, view: str) -> bytes:
    """One or more models for the component, the first one's picture before them."""
    arrays: dict[str, np.ndarray] = {"photo": groups[0].arrays["photo"], "table": viridis()}
    for index, group in enumerate(groups):
        arrays |= {f"{index}.{name}": array for name, array in group.arrays.items() if name != "photo"}
    return pack({"title": title, "view": view, "groups": [group.facts for group in groups]}, arrays)


def compute_feature_pyramid(model: Model, picture: Picture, fit: str | None, progress: Progress) -> FeaturePyramid:
    """Run a model on a picture and keep the last map of every stage, with its colours, norms and share of the rollout."""
    from vizlib.analysis.features.feature_pyramid import channels_for, energy, mean_overlap, octaves, scales, stage_maps
    from vizlib.analysis.features.token_maps import norm_map, pca_rgb
    from vizlib.passes.forward import run

    progress(0, None, "Looking at every stage")
    forward = run(model, model.prepare(picture.pixels, fit), keep_states=True)
    grids = scales(forward.lineage(), forward.size)
    maps = {name: features.float().cpu() for name, features in stage_maps(forward).items()}
    geometry = model.geometry(picture.pixels.shape[:2], fit)
    arrays: dict[str, np.ndarray] = {"photo": as_jpeg(model_input(picture, geometry))}
    levels = []
    for index, ((block, features), scale, below) in enumerate(zip(maps.items(), grids[1:], grids[:-1], strict=True)):
        tokens, grid = features.flatten(1).T, (features.shape[1], features.shape[2])
        values, low, high = _levels(features.flatten(1).numpy())
        colours = pca_rgb(tokens)[0].reshape(*grid, 3)
        strongest = features.flatten(1).var(1, correction=0).argsort(descending=True)[:MOST_TILES]
        level = {
            "rows": scale.rows.astype("<i4"),
            "columns": scale.columns.astype("<i4"),
            "pca": (colours * 255).round().numpy().astype(np.uint8),
            "norm": norm_map(tokens, grid).numpy(),
            "values": values,
            "low": low,
            "high": high,
            "order": strongest.numpy().astype("<u2"),
        }
        arrays |= {f"{index}.{name}": array for name, array in level.items()}
        levels.append(
            {
                "block": block,
                "grid": list(grid),
                "channels": len(features),
                "cell": round(forward.size[0] / grid[0]),
                "overlap": mean_overlap(scale, below.grid),
                "window": int(scale.rows[len(scale.rows) // 2] @ [-1, 1]),
                "below": list(below.grid),
                "energy": float(energy(features).mean()),
                "channels_for": channels_for(features),
                "octaves": octaves(features).tolist(),
            }
        )
    arrays |= _rollout_shares(model, picture, fit, len(levels))
    return FeaturePyramid({"title": family_name(model.card.family, model.card.name), "size": list(forward.size), "levels": levels}, arrays)


def _rollout_shares(model: Model, picture: Picture, fit: str | None, count: int) -> dict[str, np.ndarray]:
    """The rollout's share of every cell of every stage, fine to coarse; nothing where the model has none."""
    import vizlib

    try:
        rollout: Any = vizlib.explain(model, picture.pixels, "rollout", None, fit)
    except vizlib.MethodError:
        return {}
    stages = rollout.stages[::-1][-count:]
    return {f"{index}.rollout": np.asarray(stage) for index, stage in enumerate(stages)}


def _levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of values as uint16 between each row's lowest and highest: value = low + level (high - low) / 65535."""
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    scale = np.divide(65535, high - low, out=np.zeros_like(low), where=high > low)
    return np.rint((values - low) * scale).astype("<u2"), low[:, 0], high[:, 0]
