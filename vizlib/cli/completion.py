"""What the shell completes: models, methods that fit the model, and its classes. Reads cards, no weights."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  typer reads the annotations
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizlib.zoo.cards import ModelCard


def complete_model(incomplete: str) -> Iterator[tuple[str, str]]:
    """The models that begin with what was typed, each with its title."""
    from vizlib.zoo.cards import all_cards

    return _beginning(incomplete, ((name, card.title) for name, card in all_cards().items()))


def complete_fetchable(incomplete: str) -> Iterator[tuple[str, str]]:
    """The sets, and the models whose weights are not here, that begin with what was typed."""
    from vizlib.zoo.cards import all_cards
    from vizlib.zoo.weight_sets import SETS

    sets = ((weight_set.name, weight_set.title) for weight_set in SETS.values())
    models = ((name, card.title) for name, card in all_cards().items() if not card.at_hand)
    return _beginning(incomplete, (*sets, *models))


def complete_score(incomplete: str) -> Iterator[tuple[str, str]]:
    """The metrics of a map alone that begin with what was typed, each with its title."""
    from vizlib.evaluation.metrics import MAP_METRICS, METRICS

    return _beginning(incomplete, ((name, METRICS[name].title) for name in MAP_METRICS))


def complete_method(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The methods that begin with what was typed and, where the model is known, fit it."""
    from vizlib.catalog.methods import METHODS

    card = _model_card(context)
    return _beginning(incomplete, ((name, METHODS[name].title) for name in (METHODS if card is None else card.methods)))


def complete_class(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The classes of the model that begin with what was typed, each with its number."""
    card = _model_card(context)
    labels = () if card is None else _labels(card)
    return _beginning(incomplete, ((label, f"class {number}") for number, label in enumerate(labels)))


def _labels(card: ModelCard) -> Iterable[str]:
    if card.labels != "imagenet-1k":
        return card.labels if isinstance(card.labels, tuple) else ()
    # timm's own files, read without importing timm: that takes seconds, and nobody waits so long for a key.
    timm = find_spec("timm")
    if timm is None or not timm.submodule_search_locations:
        return ()
    home = Path(timm.submodule_search_locations[0]) / "data/_info"
    names = dict(line.split("\t", 1) for line in (home / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines())
    return [names[synset] for synset in (home / "imagenet_synsets.txt").read_text(encoding="utf-8").split()]


def _model_card(context: typer.Context) -> ModelCard | None:
    from vizlib.zoo.cards import all_cards

    given = context.params.get("model") or context.params.get("models") or "vit_tiny50"
    name = given if isinstance(given, str) else given[0]
    return all_cards().get(name.partition("=")[0])


def _beginning(incomplete: str, choices: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, words) for name, words in choices if name.lower().startswith(incomplete.lower()))
