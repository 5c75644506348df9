"""Rows of letters, to turn around or to sort."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

TRAINED: Final = (2, 12)
LONGEST: Final = 24


def make(rng: random.Random, length: int | None = None) -> str:
    """Random letters: 2 to 12 of them as in training, or ``length``, at most 24."""
    count = rng.randint(*TRAINED) if length is None else min(max(length, 1), LONGEST)
    return "".join(rng.choices(ascii_lowercase, k=count))


def reverse_letters(text: str) -> str | None:
    """The letters from last to first; None when there is something else."""
    return text[::-1] if _only_letters(text) else None


def sort_letters(text: str) -> str | None:
    """The letters in alphabetical order; None when there is something else."""
    return "".join(sorted(text)) if _only_letters(text) else None


def _only_letters(text: str) -> bool:
    return bool(text) and set(text) <= set(ascii_lowercase)
