"""What the sections of a report are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.auditing.report.charts import interval_bar
from vizlib.auditing.report.findings import between
from vizlib.figures.html_page import escaped
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.stats import Estimate


@dataclass(frozen=True)
class Section:
    """A section: its ``title``, what to look at, ``tabs`` (title, HTML) of which one is shown at a time, and exactly what it is.

    What is HTML here comes from ``escaped`` texts alone; titles and words are plain.
    """

    title: str
    hint: str
    tabs: tuple[tuple[str, str], ...] = ()
    exactly: str = ""
    link: str = ""
    paper: str = ""

    def html(self) -> str:
        """All of it; every tab is there where no script runs."""
        source = f' <a href="{escaped(self.link)}">{escaped(self.paper)}</a>' if self.link else ""
        note = f'<p class="exactly">{escaped(self.exactly)}{source}</p>' if self.exactly else ""
        return f"<section><h2>{escaped(self.title)}</h2><p>{escaped(self.hint)}</p>{self._body()}{note}</section>"

    def _body(self) -> str:
        if len(self.tabs) < 2:
            return "".join(f'<div class="audit-part">{body}</div>' for _, body in self.tabs)
        parts = "".join(
            f'<div class="audit-part" data-tab="{escaped(title)}"><h3 class="only">{escaped(title)}</h3>{body}</div>'
            for title, body in self.tabs
        )
        return f'<div class="tabs">{parts}</div>'


def table_html(heads: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str] = ()) -> str:
    """A table; cells are HTML. ``colours`` are those of the rows' bars, empty for the usual one."""
    head = "".join(f"<th>{escaped(title)}</th>" for title in heads)
    own = colours or [""] * len(rows)
    body = "".join(
        f"<tr{_style(colour)}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for cells, colour in zip(rows, own, strict=True)
    )
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def coloured_part(html: str, colour: str) -> str:
    """A part whose bars and dots have a model's ``colour``; empty for the usual one."""
    return f"<div{_style(colour)}>{html}</div>" if colour else html


def _style(colour: str) -> str:
    return f' style="--mark:{colour}"' if colour else ""


def share_cell(estimate: Estimate | None, reference: float | None = None) -> str:
    """A share with its interval as a cell: a bar, the share, the ends; "not known" for None."""
    if estimate is None:
        return "<span class='exactly'>not known</span>"
    bar = interval_bar(*estimate, reference=reference)
    return f"{bar} <b>{percent(estimate[0], 1)}</b> <span class='exactly'>{between(*estimate[1:])}</span>"
