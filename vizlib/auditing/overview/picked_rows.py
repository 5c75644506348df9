"""Which rows are kept out of all: those that the presets put first and some spread evenly with their maps, and numbers up to a bound."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.overview.columns import PRESETS

if TYPE_CHECKING:
    from vizlib.auditing.overview.columns import Preset

TABLE_ROWS = 10_000  # whose numbers are kept
PICTURED = 600  # rows that are kept with their map
MOST_EACH, LEAST_EACH = 24, 4  # of a preset, a model and a method

Key = tuple[int, str, str]  # picture, model, method


@dataclass(frozen=True, eq=False)
class PickedRow:
    """A row by column, with its map float32 (rows, columns) where it is shown with one."""

    row: dict[str, Any]
    map: np.ndarray | None = None

    @property
    def key(self) -> Key:
        """What tells it from the others."""
        return self.row["picture"], self.row["model"], self.row["method"]


class PickedRows:
    """The rows of a walk: heaps of what each preset puts first by model and method, a spread, and every so-many-th picture's numbers."""

    def __init__(self, pictures: int, models: list[str], methods: list[str], rows: int, *, table_rows: int, pictured: int) -> None:
        pairs = len(models) * len(methods)
        self.each = max(LEAST_EACH, min(MOST_EACH, pictured // (pairs * (len(PRESETS) + 1))))
        self.stride = max(1, -(-rows // table_rows))
        self._spread = set(np.linspace(0, max(0, pictures - 1), min(pictures, self.each)).round().astype(int).tolist())
        self._heaps: dict[tuple[str, str, str], list[tuple[float, int, PickedRow]]] = {
            (preset.name, model, method): [] for preset in PRESETS for model in models for method in methods
        }
        self._spread_rows: list[PickedRow] = []
        self._table: dict[Key, PickedRow] = {}
        self.right_with_region: dict[tuple[str, str], int] = {(model, method): 0 for model in models for method in methods}
        self.matching: dict[tuple[str, str, str], int] = dict.fromkeys(self._heaps, 0)

    def add(self, row: dict[str, Any], grid_map: np.ndarray) -> None:
        """Take in one row with its map."""
        picked = PickedRow(row, grid_map)
        if row["right"] and row["region_lift"] is not None:
            self.right_with_region[row["model"], row["method"]] += 1
        for preset in PRESETS:
            score = preset.score(row)
            if score is not None:
                self._push(preset, picked, score)
        if row["picture"] in self._spread:
            self._spread_rows.append(picked)
        if row["picture"] % self.stride == 0:
            self._table[picked.key] = PickedRow(row)

    def _push(self, preset: Preset, picked: PickedRow, score: float) -> None:
        key = (preset.name, picked.row["model"], picked.row["method"])
        self.matching[key] += 1
        heap = self._heaps[key]
        entry = (score, -picked.row["picture"], picked)  # of equal ones the first picture; a picture comes once in a heap
        if len(heap) < self.each:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def first(self) -> dict[tuple[str, str, str], list[PickedRow]]:
        """The rows that each (preset, model, method) puts first, in its order."""
        return {
            key: [picked for _, _, picked in sorted(heap, key=lambda entry: entry[:2], reverse=True)] for key, heap in self._heaps.items()
        }

    def pictured(self) -> dict[Key, PickedRow]:
        """The rows with their maps: of the presets, and the spread."""
        rows = [picked for heap in self._heaps.values() for _, _, picked in heap] + self._spread_rows
        return {picked.key: picked for picked in sorted(rows, key=lambda picked: picked.key)}

    def table(self) -> list[PickedRow]:
        """The rows of the table in the order of the pictures: every so-many-th picture's, and those that are shown with a map."""
        merged = self._table | self.pictured()
        return [merged[key] for key in sorted(merged)]
