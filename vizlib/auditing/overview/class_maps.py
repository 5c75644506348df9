"""Mean maps: of every class, and of those pictures of one class that were taken for another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.stats import mean_interval, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.auditing.overview.totals import Totals

CONFUSIONS = 12  # of a model, whose maps are shown


@dataclass
class MeanMap:
    """The mean of ``pictures`` maps as shares (rows, columns); ``other`` maps lie on a grid of another shape, and are not in it.

    ``gain`` sums what lies on box or mask beyond an even map's share, of ``boxed`` pictures.
    """

    total: np.ndarray | None = None
    pictures: int = 0
    other: int = 0
    boxed: int = 0
    gain: float = 0.0
    gain_squares: float = 0.0

    def add(self, shares: np.ndarray, row: Mapping[str, Any]) -> None:
        """Take in one map that sums to 1."""
        if self.total is None:
            self.total = np.zeros(shares.shape)
        if shares.shape != self.total.shape:
            self.other += 1
            return
        self.total += shares
        self.pictures += 1
        if row["region_share"] is not None:
            gain = row["region_share"] - row["region_area"]
            self.boxed += 1
            self.gain += gain
            self.gain_squares += gain * gain

    @property
    def mean(self) -> np.ndarray | None:
        """The mean map; None without one."""
        return None if self.total is None else self.total / self.pictures

    @property
    def box_gain(self) -> tuple[float, float, float] | None:
        """How much more of the map lies on the object than an even map has there, with its 95 % interval; None without boxes."""
        if not self.boxed:
            return None
        return self.gain / self.boxed, *mean_interval(self.gain, self.gain_squares, self.boxed, within=(-1.0, 1.0))


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The mean map of a class of a model by a method, and, where pictures have labels, how many are ``right``, of how many."""

    model: str
    method: str
    index: int
    name: str
    pictures: int
    right: int | None
    map: MeanMap

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """The share of right answers and its 95 % interval; None without labels."""
        if self.right is None:
            return None
        return self.right / self.pictures, *wilson(self.right, self.pictures)


@dataclass(frozen=True, eq=False)
class Confusion:
    """``count`` of the ``of`` pictures with the label ``name`` that a model answered ``answer`` to: where their maps lie, and those of
    the pictures of that label that it got right."""

    model: str
    method: str
    name: str
    answer: str
    count: int
    of: int
    mistaken: MeanMap
    right: MeanMap

    @property
    def share(self) -> tuple[float, float, float]:
        """The share of the class, and its 95 % interval."""
        return self.count / self.of, *wilson(self.count, self.of)


class ClassMaps:
    """The mean maps of a walk: by class, of right answers by label, and of each model's commonest mistakes."""

    def __init__(self, totals: Totals, methods: list[str], confusions: int = CONFUSIONS) -> None:
        self._totals, self._methods = totals, methods
        self._mistakes = {
            model: sorted(counts, key=lambda pair, counts=counts: (-counts[pair], pair))[:confusions]  # type: ignore[misc]
            for model, counts in totals.confused.items()
        }
        self._watched = {(model, pair) for model, pairs in self._mistakes.items() for pair in pairs}
        self._maps: dict[tuple[Any, ...], MeanMap] = {}

    def add(self, row: Mapping[str, Any], shares: np.ndarray) -> None:
        """Take in one row and its map as shares."""
        label, answer = row["label"], row["prediction"]
        if answer is None:
            return
        own = label if self._totals.labelled else answer
        key = (row["model"], row["method"])
        if own is not None:
            self._of("class", *key, own).add(shares, row)
        if label is not None and label == answer:
            self._of("right", *key, label).add(shares, row)
        if (row["model"], (label, answer)) in self._watched:
            self._of("mistake", *key, label, answer).add(shares, row)

    def classes(self) -> list[ClassMap]:
        """One for each class of each model and method, the class with most pictures first."""
        result = []
        for model, counts in (self._totals.labels if self._totals.labelled else self._totals.answers).items():
            for index, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                wrong = sum(n for (label, _), n in self._totals.confused[model].items() if label == index)
                right = count - wrong if self._totals.labelled else None
                result += [
                    ClassMap(model, method, index, self._totals.names[model, index], count, right, self._of("class", model, method, index))
                    for method in self._methods
                ]
        return result

    def confusions(self) -> list[Confusion]:
        """Each model's commonest mistakes, by every method."""
        names, result = self._totals.names, []
        for model, pairs in self._mistakes.items():
            for label, answer in pairs:
                count, of = self._totals.confused[model][label, answer], self._totals.labels[model][label]
                for method in self._methods:
                    mistaken, right = self._of("mistake", model, method, label, answer), self._of("right", model, method, label)
                    result.append(Confusion(model, method, names[model, label], names[model, answer], count, of, mistaken, right))
        return result

    def _of(self, *key: Any) -> MeanMap:
        return self._maps.setdefault(key, MeanMap())
