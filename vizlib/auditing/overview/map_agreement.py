"""How far the maps of one picture lie apart: those of two methods, or of two models."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.map_statistics import sums_on
from vizlib.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SAME_PLACE = 0.5  # pixels by which the boxes that two models see may differ


def maps_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Half the sum of |a - b| of two maps whose cells sum to 1, on the coarser grid: 0 alike, 1 without a cell in common."""
    rows, columns = (min(sides) for sides in zip(first.shape, second.shape, strict=True))
    return float(np.abs(sums_on(first, (rows, columns)) - sums_on(second, (rows, columns))).sum() / 2)


@dataclass
class Agreement:
    """How far ``first`` and ``second`` lie apart over ``count`` pictures: two methods of the model ``of``, or two
    models by the method ``of``.

    ``elsewhere`` pictures have no such distance, since the models see other parts of them.
    """

    kind: str  # "methods" or "models"
    of: str
    first: str
    second: str
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    elsewhere: int = 0

    @property
    def mean(self) -> float:
        """The mean distance; NaN for no picture."""
        return self.total / self.count if self.count else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return mean_interval(self.total, self.squares, self.count, within=(0.0, 1.0))

    def add(self, distance: float) -> None:
        """Take in one picture."""
        self.count += 1
        self.total += distance
        self.squares += distance * distance


class Agreements:
    """Every pair of methods of a model, and of models by a method, picture by picture."""

    def __init__(self, models: Sequence[str], methods: Sequence[str]) -> None:
        self.pairs = [Agreement("methods", model, *pair) for model in models for pair in combinations(methods, 2)]
        self._last = models[-1] if len(models) > 2 else ""
        self.pairs += [Agreement("models", method, *pair) for method in methods for pair in combinations(models, 2)]

    def add(
        self, rows: Mapping[tuple[str, str], Mapping[str, Any]], shares: Mapping[tuple[str, str], np.ndarray]
    ) -> dict[Any, dict[str, float]]:
        """Take in the rows and the maps, as shares, of one picture by (model, method): for each, how far it lies from the farthest other.

        {(model, method): {"methods_apart": distance, "models_apart": distance}}, without what cannot be said; of three models and more,
        "from_last" is how far the map lies from the last model's.
        """
        apart: dict[Any, dict[str, float]] = {key: {} for key in rows}
        for pair in self.pairs:
            keys = [(pair.of, name) if pair.kind == "methods" else (name, pair.of) for name in (pair.first, pair.second)]
            if not all(key in shares for key in keys):
                continue
            if pair.kind == "models" and not _same_place(*(rows[key] for key in keys)):
                pair.elsewhere += 1
                continue
            distance = maps_apart(*(shares[key] for key in keys))
            pair.add(distance)
            column = f"{pair.kind}_apart"
            for key in keys:
                apart[key][column] = max(distance, apart[key].get(column, 0.0))
            if pair.kind == "models" and pair.second == self._last:
                apart[keys[0]]["from_last"] = distance
        return apart


def _same_place(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return all(abs(first[side] - second[side]) <= SAME_PLACE for side in ("seen_top", "seen_left", "seen_bottom", "seen_right"))
