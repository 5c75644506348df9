"""What the component of segmentations draws: the features of one model brought to one grid, and their groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.model_marks import family_name
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

COUNTS = tuple(range(2, 9))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One model's groups: ``labels`` uint8 (counts, h, w), and for each count how steep the picture is along their boundaries."""

    title: str
    facts: str
    size: tuple[int, int]
    labels: np.ndarray
    ratios: tuple[float, ...]
    photo: np.ndarray

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.labels.nbytes + self.photo.nbytes


def pack_segmentation(fields: Sequence[Segmentation], title: str, chosen: int) -> bytes:
    """The fields side by side over the first one's photograph."""
    rows = [
        {
            "title": field.title,
            "facts": field.facts,
            "grid": list(field.labels.shape[1:]),
            "ratios": [None if math.isnan(ratio) else ratio for ratio in field.ratios],
        }
        for field in fields
    ]
    header: dict[str, Any] = {"title": title, "size": fields[0].size, "counts": COUNTS, "chosen": chosen, "fields": rows}
    return pack(header, {"photo": as_jpeg(fields[0].photo)} | {f"{index}.labels": field.labels for index, field in enumerate(fields)})


def compute_segmentation(model: Model, picture: Picture, fit: str | None, side: int, progress: Progress) -> Segmentation:
    """Run a model, bring all its stages to one grid whose longer side has ``side`` cells, and group the cells by k-means."""
    from vizlib.analysis.features.feature_pyramid import edge_ratio, fused, principal, stage_maps
    from vizlib.analysis.features.token_maps import kmeans_map
    from vizlib.passes.forward import run

    progress(0, len(COUNTS) + 1, "Fusing the stages")
    forward = run(model, model.prepare(picture.pixels, fit), keep_states=True)
    maps = list(stage_maps(forward).values())
    factor = side / max(forward.size)
    grid = (max(1, round(forward.size[0] * factor)), max(1, round(forward.size[1] * factor)))
    cells = principal(fused([features.cpu() for features in maps], grid).flatten(1).T)
    photo = model_input(picture, model.geometry(picture.pixels.shape[:2], fit))
    groups = []
    for index, count in enumerate(COUNTS):
        progress(index + 1, len(COUNTS) + 1, f"Grouping into {count}")
        groups.append(kmeans_map(cells, count).reshape(grid).numpy().astype(np.uint8))
    sides = " + ".join(str(features.shape[1]) for features in maps)
    facts = f"grids of {sides} cells, fused" if len(maps) > 1 else f"one grid of {sides} × {maps[0].shape[2]} cells"
    ratios = tuple(edge_ratio(labels, photo) for labels in groups)
    return Segmentation(family_name(model.card.family, model.card.name), facts, forward.size, np.stack(groups), ratios, photo)
