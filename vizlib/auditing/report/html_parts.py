"""What the sections of a report are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.figures.html_page import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence


def section(title: str, hint: str, body: str, exactly: str = "", link: str = "", paper: str = "") -> str:
    """A section with its title, what to look at, its body, and exactly what it is, with its paper."""
    source = f' <a href="{escaped(link)}">{escaped(paper)}</a>' if link else ""
    note = f'<p class="exactly">{escaped(exactly)}{source}</p>' if exactly else ""
    return f"<section><h2>{escaped(title)}</h2><p>{escaped(hint)}</p>{body}{note}</section>"


def tabs_html(tabs: Sequence[tuple[str, str]]) -> str:
    """Parts of which one is shown at a time; all of them where no script runs."""
    if len(tabs) == 1:
        return tabs[0][1]
    parts = "".join(f'<div data-tab="{escaped(title)}"><h3 class="only">{escaped(title)}</h3>{body}</div>' for title, body in tabs)
    return f'<div class="tabs">{parts}</div>'


def table_html(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML."""
    head = "".join(f"<th>{escaped(title)}</th>" for title in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for cells in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def counted(number: int, thing: str) -> str:
    """A number of things in words."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{number:,} {thing}{'' if number == 1 else plural}"


def listed(names: Sequence[str]) -> str:
    """Names as a reader lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
