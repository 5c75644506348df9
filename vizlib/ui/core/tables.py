"""Tables as text for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from vizlib.files import harmless_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def to_csv(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows under their columns' names; what is None is left empty, and a text that a spreadsheet would take for a formula is quoted."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(harmless_cell, row) for row in rows)
    return buffer.getvalue()


def records_to_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Rows that name their columns, which all have alike; without any row an empty table."""
    return to_csv(list(records[0]) if records else [], (record.values() for record in records))
