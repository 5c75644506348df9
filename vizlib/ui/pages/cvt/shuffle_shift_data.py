"""What shuffled patches and shifts do to one model: for the component, and as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.model_marks import family_name
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.model_input import as_jpeg, model_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import Model
    from vizlib.analysis.perturbation.patch_shuffle import ShuffleEffect
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

TILES = (2, 4, 8)
OPENS = 4  # tiles a side: neither the whole picture nor dust
SEEDS = (0, 1, 2)
STEPS = 17
"""Shifts from none to a quarter of the width, in 64ths."""


@dataclass(frozen=True, eq=False)
class ShuffleShift:
    """One model: ``rows`` for each reading of it (with its table of positions, and without where it has one).

    ``orders`` are those in which the patches lie that are drawn, by the number of tiles.
    """

    rows: list[dict[str, Any]]
    size: tuple[int, int]
    photo: np.ndarray
    orders: dict[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.photo.nbytes + 2000 * len(self.rows)


def pack_shuffle_shift(moves: Sequence[ShuffleShift]) -> bytes:
    """The models side by side over the first one's photograph."""
    header = {
        "size": list(moves[0].size), "tiles": TILES, "opens": OPENS, "seeds": len(SEEDS), "shifts": [step / 64 for step in range(STEPS)],
        "models": [row for effect in moves for row in effect.rows],
    }  # fmt: skip
    return pack(header, {"photo": as_jpeg(moves[0].photo), **moves[0].orders})


def compute_shuffle_shift(model: Model, picture: Picture, fit: str | None, progress: Progress) -> ShuffleShift:
    """Shuffle and shift one picture, for a model as it is and, where it has a table of positions, without it."""
    from vizlib.analysis.perturbation.patch_shuffle import has_positions, random_order, shifted, shuffled, without_positions

    x = model.prepare(picture.pixels, fit)
    title = family_name(model.card.family, model.card.name)
    readings = [(title if not has_positions(model) else f"{title} with its table of positions", model)]
    if has_positions(model):
        readings.append((f"{title} without the table", without_positions(model)))
    rows = []
    for index, (name, reading) in enumerate(readings):
        shuffles = []
        for step, tiles in enumerate(TILES):
            progress(index * 5 + step, 5 * len(readings), f"Shuffling patches for {name}")
            shuffles.append(_mean(shuffled(reading, x, x.shape[-1] // tiles, SEEDS)))
        shifts: list[ShuffleEffect] = []
        for half in (range(9), range(9, STEPS)):
            progress(index * 5 + 3 + half.start // 9, 5 * len(readings), f"Shifting the picture for {name}")
            shifts += shifted(reading, x, [(0, round(step * x.shape[-1] / 64)) for step in half])
        rows.append({"title": name, "shuffled": shuffles, "shifted": [_mean([change]) for change in shifts]})
    photo = model_input(picture, model.geometry(picture.pixels.shape[:2], fit))
    orders = {f"order.{tiles}": random_order(tiles * tiles, SEEDS[0]).numpy().astype("<u2") for tiles in TILES}
    return ShuffleShift(rows, (int(x.shape[-2]), int(x.shape[-1])), photo, orders)


def _mean(changes: Sequence[ShuffleEffect]) -> dict[str, Any]:
    tokens = [change.tokens for change in changes if change.tokens is not None]
    return {
        "distance": float(np.mean([change.distance for change in changes])),
        "same": float(np.mean([change.same_answer for change in changes])),
        "tokens": float(np.mean(tokens)) if tokens else None,
    }
