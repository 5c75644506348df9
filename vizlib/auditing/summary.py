"""An audit in one line for each model and method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vizlib.stats import mean_interval, wilson

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit

_COLUMNS = ("model", "method", "error", "right", "probability", "evenness", "region_share", "region_area", "pointing")
_GAIN = "region_gain"  # a difference of two shares; all other columns are shares
_MEANS = (*_COLUMNS[3:], _GAIN)
_SHARES = ("right", "pointing")  # of pictures, so that their interval is Wilson's


@dataclass
class _Mean:
    total: float = 0.0
    squares: float = 0.0
    count: int = 0

    def add(self, values: list[Any]) -> None:
        present = [float(value) for value in values if value is not None and value == value]
        self.total += sum(present)
        self.squares += sum(value * value for value in present)
        self.count += len(present)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def interval(self, name: str) -> tuple[float, float] | None:
        if not self.count:
            return None
        if name in _SHARES:
            return wilson(self.total, self.count)
        return mean_interval(self.total, self.squares, self.count, within=(-1.0 if name == _GAIN else 0.0, 1.0))


@dataclass
class Summary:
    """Of a model and a method: how many ``pictures`` have a map and how many ``failed``, and the means over those that it can be said of.

    ``right`` is the share of right answers, ``probability`` what the model gives its answers, ``evenness`` that of the maps,
    ``region_share`` of the map in box or mask where an even map would have ``region_area``, ``region_gain`` their difference,
    ``pointing`` the hits of the pointing game. Intervals are of 95 %: Wilson's for right and pointing, Student's for the others.
    """

    model: str
    method: str
    pictures: int = 0
    failed: int = 0
    _means: dict[str, _Mean] = field(default_factory=lambda: {name: _Mean() for name in _MEANS}, repr=False)

    def mean(self, name: str) -> float | None:
        """The mean of a column; None where no picture has it."""
        return self._means[name].mean

    def interval(self, name: str) -> tuple[float, float] | None:
        """The interval of a mean; None where no picture has it, NaN where only one has."""
        return self._means[name].interval(name)

    def count(self, name: str) -> int:
        """How many pictures a mean is of."""
        return self._means[name].count

    def add(self, rows: dict[str, list[Any]]) -> None:
        """Take in some rows by column: those of this model and method, and those without a method, which could not be read."""
        self.failed += sum(error is not None for error in rows["error"])
        kept = [place for place, error in enumerate(rows["error"]) if error is None]
        self.pictures += len(kept)
        own = {name: [rows[name][place] for place in kept] for name in _COLUMNS[3:]}
        own["region_gain"] = [
            None if share is None else share - area for share, area in zip(own["region_share"], own["region_area"], strict=True)
        ]
        for name, mean in self._means.items():
            mean.add(own[name])

    def as_record(self) -> dict[str, Any]:
        """Its numbers by name."""
        numbers: dict[str, Any] = {"model": self.model, "method": self.method, "pictures": self.pictures, "failed": self.failed}
        numbers |= {name: self.mean(name) for name in self._means}
        return numbers | {f"{name}_interval": self.interval(name) for name in ("right", "pointing", "region_gain")}


def summaries(audit: Audit) -> list[Summary]:
    """One for each model and method, in the order of the audit; part by part, so that memory stays flat."""
    result = {(model, method): Summary(model, method) for model in audit.models for method in audit.methods}
    for rows in audit.parts_rows(_COLUMNS):
        for (model, method), summary in result.items():
            own = [place for place, name in enumerate(rows["model"]) if name == model and rows["method"][place] in (method, None)]
            summary.add({name: [values[place] for place in own] for name, values in rows.items()})
    return list(result.values())
