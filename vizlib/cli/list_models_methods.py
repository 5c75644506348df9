"""``vizlib models`` and ``vizlib methods``: what is known before anything is loaded."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

import vizlib
from vizlib.catalog.family import NEEDS
from vizlib.catalog.family_table import family_table
from vizlib.catalog.methods import method_card
from vizlib.cli.completion import complete_method, complete_model
from vizlib.cli.errors_and_output import UsageError, print_json, stdout_console
from vizlib.errors import nearest
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from vizlib.catalog.methods import MethodCard, Option
    from vizlib.zoo.cards import ModelCard

MODELS_EPILOG = """[bold]For example[/bold]

  vizlib models --source bundled

  vizlib models vit_tiny50

  vizlib models --family resnet --json

Any other timm name works too, wherever a model is asked for: vizlib explain cat.jpg --model resnet26d.bt_in1k"""
METHODS_EPILOG = """[bold]For example[/bold]

  vizlib methods rollout

  vizlib explain cat.jpg --method rollout --option head_fusion=max --option discard_ratio=0.5"""

_WIDE_TABLE = 160  # columns that the table of models takes with all that is known


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One model: its whole card, and why some methods do not fit it.", show_default=False, autocompletion=complete_model
        ),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Only this family, such as vit or resnet.", show_default=False)] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Only models from there: bundled (no download), timm or official.", show_default=False),
    ] = None,
    families: Annotated[
        bool, typer.Option("--families", help="The modules with attention of timm and torchvision: which have a rollout, and why not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models, or show one."""
    if families:
        if name or family or source:
            raise UsageError("--families is a table of its own; leave a name, --family and --source out beside it.")
        rows = family_table()
        print_json(rows) if as_json else _list_families(rows)
        return
    cards = vizlib.models()
    if name is not None:
        if family or source:
            raise UsageError("--family and --source filter the list; leave them out beside a name.")
        card = next((card for card in cards if card.name == name), None)
        if card is None:
            close = nearest(name, [card.name for card in cards])
            raise UsageError(f"There is no card for {name!r}; `vizlib models` lists them, and any timm name loads without one.{close}")
        print_json(_model_facts(card)) if as_json else _show_model(card)
        return
    for field, choice in (("family", family), ("source", source)):
        present = sorted({getattr(card, field) for card in cards})
        if choice is not None and choice not in present:
            raise UsageError(f"There is no {field} {choice!r}; there are {', '.join(present)}.")
    chosen = [card for card in cards if family in (None, card.family) and source in (None, card.source)]
    if as_json:
        print_json([_model_facts(card) for card in chosen])
    else:
        _list_models(chosen)


def methods(
    name: Annotated[
        str | None, typer.Argument(help="One method; all of them without a name.", show_default=False, autocompletion=complete_method)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the explanation methods with their papers, what they need, and their options."""
    chosen = vizlib.methods() if name is None else [method_card(name)]
    if as_json:
        facts = [asdict(card) | {"families": card.families} for card in chosen]
        print_json(facts if name is None else facts[0])
        return
    for number, card in enumerate(chosen):
        if number:
            print()
        _show_method(card)


def _model_facts(card: ModelCard) -> dict[str, Any]:
    facts = {key: value for key, value in asdict(card).items() if key != "refusals"}
    return {**facts, "methods": list(card.methods), "unavailable": card.unavailable}


def _list_families(rows: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("library", "module", "variant", "family", "rollout"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["library"], row["module"], row["variant"], row["family"], escape(row["rollout"] or "yes"))
    stdout_console().print(table)


def _list_models(cards: list[ModelCard]) -> None:
    """The models as a table; a narrow terminal has the columns that tell them apart, and is told where the rest is."""
    screen = stdout_console()
    narrow = screen.width < _WIDE_TABLE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=not narrow, overflow="fold")
    for heading in ("family", "source"):
        table.add_column(heading, no_wrap=narrow)
    for heading in ("parameters", "input", "top-1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in () if narrow else ("on", "licence", "methods"):
        table.add_column(heading)
    for card in cards:
        top1 = percent(card.accuracy.top1, 1) if card.accuracy else ""
        data = card.accuracy.data.removeprefix("val, ").removesuffix(", as published") if card.accuracy else ""
        size = _millions(card.parameters)
        licence = card.licence.split(";")[0]
        cells = (card.name, card.family, card.source, size, _size(card.input_size), top1, data, licence, " ".join(card.methods))
        table.add_row(*cells[: len(table.columns)])
    screen.print(table)
    if narrow:
        screen.print("`vizlib models NAME` tells a model's methods, licence and data.")


def _show_model(card: ModelCard) -> None:
    rows = [
        ("title", card.title),
        ("family", card.family),
        ("source", card.source),
        ("parameters", f"{card.parameters:,}"),
        ("input", f"{_size(card.input_size)} px"),
        ("labels", _labels(card.labels)),
        ("activation", card.activation or ""),
        ("accuracy", _accuracy(card)),
        ("licence", card.licence),
        ("paper", card.paper),
        ("weights", card.at_hand or (f"{card.url} ({card.wrapping})" if card.url else "")),
        ("pictures", card.preprocessing),
        ("note", card.note),
    ]
    if card.training:
        run = card.training["training"]
        rows += [("trained by", run["command"]), ("epochs", str(run["recipe"]["epochs"]))]
    rows += [("methods", " ".join(card.methods) or "none")]
    _show(card.name, rows)
    _entries([(f"[bold]no {method}[/bold]:", reason) for method, reason in card.unavailable.items()])


def _show_method(card: MethodCard) -> None:
    needs = [NEEDS[need] for need in card.needs] + (["gradients"] if card.needs_gradient else [])
    rows = [
        ("title", card.title),
        ("shows", card.summary),
        ("paper", f"{card.paper}, {card.paper_url}"),
        ("needs", "; ".join(needs)),
        ("families", " ".join(card.families)),
        ("target", "the map is that of the target class" if card.class_specific else "the map is the same for every target"),
    ]
    _show(card.name, rows)
    _entries([(f"[bold]{option.name}[/bold] = {escape(str(option.default))} ", _option(option)) for option in card.options])


def _option(option: Option) -> str:
    if option.choices:
        return f"{option.help} ({', '.join(option.choices)})"
    if option.low is None and option.high is None:
        return option.help
    ends = (f"from {option.low}" if option.low is not None else "", f"to {option.high}" if option.high is not None else "")
    return f"{option.help} ({', or '.join([' '.join(end for end in ends if end), *option.words])})"


def _show(name: str, rows: list[tuple[str, str]]) -> None:
    stdout_console().print(f"[bold]{escape(name)}[/bold]", soft_wrap=True)
    _entries([(f"{heading:<11}", text) for heading, text in rows if text])


def _entries(rows: list[tuple[str, str]]) -> None:
    """Headings, which may have markup, with their texts beside them; a line each where a program reads it."""
    screen = stdout_console()
    if not screen.is_terminal:
        for heading, text in rows:
            screen.print(f"  {heading} {escape(text)}", soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(max_width=screen.width // 3)
    grid.add_column(overflow="fold")
    for heading, text in rows:
        grid.add_row(heading, escape(text))
    screen.print(Padding(grid, (0, 0, 0, 2)))


def _labels(labels: tuple[str, ...] | str | None) -> str:
    if isinstance(labels, tuple):
        return f"{len(labels)}: {', '.join(labels)}"
    return labels or "none: it gives features, not classes"


def _accuracy(card: ModelCard) -> str:
    accuracy = card.accuracy
    if accuracy is None:
        return ""
    fifth = f", top-5 {percent(accuracy.top5, 1)}" if accuracy.top5 is not None else ""
    images = f", {accuracy.images:,} images" if accuracy.images else ""
    source = "measured here" if accuracy.measured else "as published"
    return f"top-1 {percent(accuracy.top1, 1)}{fifth} ({accuracy.data.removesuffix(', as published')}{images}; {source})"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
