"""``vizlib fetch``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from vizlib.cli.completion import complete_fetchable
from vizlib.cli.errors_and_output import UsageError, stderr_console, stdout_console
from vizlib.cli.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.zoo.cards import ModelCard
    from vizlib.zoo.weight_sets import Pending

STOPPED = 130
FETCH_EPILOG = """[bold]For example[/bold]

  vizlib fetch --list

  vizlib fetch vit_small_saliency

  vizlib fetch imagenet-small --yes

Sizes and licences are shown before anything is fetched. What was stopped goes on with the files that are not here yet."""


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Models, or sets of them.", autocompletion=complete_fetchable, show_default=False),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Name the sets and what is in them, and fetch nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch without a question.")] = False,
) -> None:
    """Fetch the weights of models before they are needed."""
    from vizlib.zoo.weight_sets import fetch_all, members, pending

    if listed:
        _list_sets()
        return
    if not names:
        raise UsageError("Say what to fetch: a model, or a set; `vizlib fetch --list` names the sets.")
    rows = pending(members(names))
    _show(rows)
    if any(row.size != 0 for row in rows):
        _confirm(rows, yes=yes)
    try:
        with ProgressBar() as bar:

            def report(card: ModelCard, there: int, total: int | None) -> None:
                bar.show(there, total, f"fetching {card.name}: {megabytes(there)} of {megabytes(total)}")

            had = fetch_all(rows, report)
    except KeyboardInterrupt:
        stderr_console().print("stopped; the next `vizlib fetch` goes on with the files that are not here yet")
        raise typer.Exit(STOPPED) from None
    for name, place in had.items():
        stdout_console().print(f"{name}: {place}", soft_wrap=True, markup=False)


def _list_sets() -> None:
    from vizlib.zoo.cards import all_cards
    from vizlib.zoo.packaged_weights import PACKAGED
    from vizlib.zoo.weight_sets import SETS

    cards = all_cards()
    screen = stdout_console()
    for weight_set in SETS.values():
        screen.print(f"{weight_set.name}: {weight_set.title}", markup=False)
        for name in weight_set.models:
            screen.print(f"  {_line(cards[name])}", soft_wrap=True, markup=False)
    screen.print("in packages of the Python index:")
    for name in PACKAGED:
        screen.print(f"  {_line(cards[name])}", soft_wrap=True, markup=False)
    screen.print("Any other model of `vizlib models` can be fetched by its name too.", markup=False)


def _line(card: ModelCard) -> str:
    # Before any server is asked, what is known is the parameters: four bytes each.
    return f"{card.name}  about {card.parameters * 4 / 1e6:.0f} MB  {card.licence.split(';')[0]}  {card.at_hand or 'not here yet'}"


def _show(rows: Sequence[Pending]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence", overflow="fold")
    table.add_column("weights", overflow="fold")
    for row in rows:
        size = "here" if row.size == 0 else "away" if row.problem else megabytes(row.size)
        table.add_row(row.card.name, size, row.card.licence, row.place)
    stderr_console().print(table)


def _confirm(rows: Sequence[Pending], *, yes: bool) -> None:
    sizes = [row.size for row in rows if row.size != 0 and not row.problem]
    if yes or len(rows) == 1:  # who names one model has been told enough by its line
        return
    if not sys.stdin.isatty():
        raise UsageError("There is nobody to ask: say --yes to fetch this.")
    files = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    if not typer.confirm(f"Fetch {files}, {megabytes(sum(size or 0 for size in sizes))}?", err=True):
        raise typer.Exit


def megabytes(size: int | None) -> str:
    """A number of bytes in millions, as servers and disks count them."""
    return "unknown" if size is None else f"{size / 1e6:.0f} MB"
