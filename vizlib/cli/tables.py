"""A table where the terminal is wide enough for it; else each row as a few lines, so that no cell is cut or broken."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.box import Box
    from rich.console import Console

_GLUE = "\ue000"  # in place of a space, keeps a heading and its value on one line


def print_table(
    screen: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,), box: Box | None = None
) -> None:
    """Rows of cells under their headings; columns are flush right but for those in ``left``.

    Where they do not fit the width, each row begins with its first cell, and the others stand below it with their headings.
    """
    table = Table(box=box, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    if Measurement.get(screen, screen.options.update(max_width=10_000), table).maximum <= screen.width:
        screen.print(table)
        return
    for first, *others in rows:
        facts = [f"{heading} {cell}".replace(" ", _GLUE) for heading, cell in zip(headings[1:], others, strict=True) if cell]
        screen.print(escape(first), style="bold", soft_wrap=True)
        for line in textwrap.wrap(" · ".join(facts), screen.width - 2, break_on_hyphens=False):
            screen.print(f"  {escape(line.replace(_GLUE, ' '))}", soft_wrap=True)
