"""What a page knows of a model that its visitor opened from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vizlib.zoo.cards import ModelCard

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class UserModelCard(ModelCard):
    """A visitor's own model: ``name`` is what this visitor's page calls it, ``identity`` what only this visitor's requests can name.

    ``source_name`` and ``labels_name`` are the files as the visitor knows them, ``path`` is where the weights lie on this machine, and
    ``size`` the side of the input in pixels where it is not the architecture's own; ``given_activation`` is what the visitor chose.
    """

    identity: str = field(default="", repr=False)
    architecture: str = ""
    source_name: str = ""
    labels_name: str = ""
    size: int | None = None
    given_activation: str | None = None
    path: Path | None = field(default=None, repr=False)

    @property
    def display_name(self) -> str:
        """The file's name: ``name`` is a number that tells the visitor nothing."""
        return self.title


def identity_of(card: ModelCard) -> str:
    """What the engine knows a model by."""
    return card.identity if isinstance(card, UserModelCard) else card.name
