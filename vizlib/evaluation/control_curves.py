"""The removal curves of the control maps, measured only as far as a comparison of their areas needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vizlib.evaluation.deletion_insertion import Remover, area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.deletion_insertion import Answer

AT_ONCE = 2  # points of each curve that are measured between two looks at the bounds
ROUNDING = 1e-9  # of an area: nearer bounds decide nothing


class ControlCurves:
    """The probability (baselines, M, parts + 1) as the pixels of maps go, or come back, in the order of their ``pixel_ranks`` (M, h w).

    NaN is what is not measured yet. A probability lies between 0 and 1, so what is not measured bounds the area from both sides: most
    comparisons are decided long before the curve is complete, and none differently. ``answer`` takes at most ``batch`` images.
    """

    def __init__(
        self, answer: Answer, x: torch.Tensor, empty: Sequence[torch.Tensor], places: torch.Tensor, parts: int, batch: int, *, insert: bool
    ) -> None:
        self._removers = [Remover(answer, x, picture, places, parts, batch, insert=insert) for picture in empty]
        self._insert, self._parts = insert, parts
        self.curves = torch.full((len(empty), len(places), parts + 1), torch.nan, dtype=torch.float64)
        for baseline, remover in enumerate(self._removers):
            self.curves[baseline, :, 0], self.curves[baseline, :, -1] = remover.ends().cpu()

    @property
    def complete(self) -> bool:
        """Whether every point of every curve is measured."""
        return not bool(self.curves.isnan().any())

    def completed(self, rows: Sequence[int] | None = None) -> torch.Tensor:
        """The curves (baselines, rows, parts + 1) of some maps (None: all), measured to the end."""
        chosen = list(range(self.curves.shape[1])) if rows is None else list(rows)
        self._measure(chosen, range(1, self._parts))
        return self.curves[:, chosen]

    def worse_than(self, value: float, rows: Sequence[int]) -> torch.Tensor:
        """Whether the mean area of each of these maps is worse than ``value``, bool (rows,): larger for deletion, smaller for insertion."""
        undecided = list(rows)
        for first in range(1, self._parts, AT_ONCE):
            undecided = [row for row in undecided if not self._decided(row, value)]
            self._measure(undecided, range(first, min(first + AT_ONCE, self._parts)))
        lowest, highest = self._bounds(rows)
        exact = area(self.curves[:, list(rows)]).mean(0)  # NaN where the bounds have decided
        if self._insert:
            return torch.where(exact.isnan(), highest < value, exact < value)
        return torch.where(exact.isnan(), lowest > value, exact > value)

    def missing(self) -> int:
        """How many points are not measured."""
        return int(self.curves.isnan().sum())

    def _decided(self, row: int, value: float) -> bool:
        lowest, highest = self._bounds([row])
        return bool(lowest[0] > value + ROUNDING) or bool(highest[0] < value - ROUNDING)

    def _bounds(self, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        curves = self.curves[:, list(rows)]
        return area(curves.nan_to_num(nan=0.0)).mean(0), area(curves.nan_to_num(nan=1.0)).mean(0)

    def _measure(self, rows: Sequence[int], steps: range) -> None:
        for baseline, remover in enumerate(self._removers):
            points = [(row, step) for row in rows for step in steps if bool(self.curves[baseline, row, step].isnan())]
            if points:
                at = torch.tensor(points).T
                self.curves[baseline, at[0], at[1]] = remover.at(points).cpu()
