"""Small grids of whole numbers, each of which shows the sum that it is, by pointer or by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.analysis.toys.number_sheet import Place, written
from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from vizlib.analysis.toys.number_sheet import NumberSheet

_component = register("toy_numbers")


def toy_numbers(sheet: NumberSheet, first: Place, *, key: str) -> None:
    """Draw a sheet on which the sum of the number at ``first`` is shown; no choice needs the server."""
    _component(data=pack_sheet(sheet, first), key=key)


def pack_sheet(sheet: NumberSheet, first: Place) -> bytes:
    """Every number as text with its formula: texts, and [text, grid, cell] where another number stands in it."""
    grids: list[dict[str, Any]] = []
    for index, grid in enumerate(sheet.grids):
        formulas = [sheet.formula(Place(index, cell)) for cell in range(len(grid.numbers))]
        grids.append(
            {
                "title": grid.title,
                "words": grid.words,
                "role": grid.role,
                "columns": grid.columns,
                "numbers": [written(number.value) for number in grid.numbers],
                "formulas": [[part if isinstance(part, str) else [part[0], *part[1]] for part in parts] for parts in formulas],
            }
        )
    return pack({"grids": grids, "first": list(first)})
