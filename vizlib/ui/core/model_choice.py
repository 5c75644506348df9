"""A model that a page looks at: bundled, published, untrained, or a visitor's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vizlib.figures.model_marks import short_name
from vizlib.ui.core import formatting
from vizlib.ui.core.model_loading import load_random
from vizlib.ui.core.model_service import service
from vizlib.ui.core.user_model_card import UserModelCard, identity_of
from vizlib.ui.core.user_model_store import user_model_store
from vizlib.zoo import bundled_models
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib import ModelCard


@dataclass(frozen=True)
class ModelChoice:
    """A model by the name that the page has for it; ``random`` weights, and no ``card`` where its training is not shipped."""

    name: str
    random: bool = False
    card: ModelCard | None = None

    @property
    def identity(self) -> str:
        """What the model service knows it by."""
        if self.random:
            return f"random:{self.name}"
        return self.name if self.card is None else identity_of(self.card)

    @property
    def own(self) -> bool:
        """Whether the visitor opened it from a file; no link names it then."""
        return isinstance(self.card, UserModelCard)

    @property
    def display_name(self) -> str:
        """What the page calls it, wherever its visitor reads of it."""
        return short_name(self.name) if self.card is None else self.card.display_name

    @property
    def facts(self) -> str:
        """One short line for the page, plain about weights that nobody trained."""
        facts = self.name if self.card is None else formatting.facts(self.card)
        return f"{facts} · **untrained: random weights**" if self.random else facts

    @property
    def code(self) -> str:
        """The Python that loads it."""
        if self.random:
            return f'vizlib.load("{self.name}", checkpoint="random")'
        return formatting.loading_code(self.name if self.card is None else self.card)

    @property
    def file_name(self) -> str:
        """What the names of its files begin with."""
        return self.card.source_name.rpartition(".")[0] or self.card.source_name if isinstance(self.card, UserModelCard) else self.name


def model_choice(name: str, *, random: bool = False) -> ModelChoice:
    """The model of a name; a bundled architecture whose training is not shipped has random weights."""
    card = all_cards().get(name) or user_model_store().cards.get(name)
    choice = ModelChoice(name, random or (card is None and name in bundled_models.NAMES), card)
    if choice.random and not service().ready(choice.identity):
        service().open(choice.identity, partial(load_random, name, short_name(name)))
    return choice
