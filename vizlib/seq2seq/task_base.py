"""What a task is: texts that are made by rule, their right answers, and what may be typed."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vizlib.errors import TextError, VizlibError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

END = "■"
_TYPOGRAPHY = str.maketrans({"‘": "'", "’": "'", "‐": "-", "‑": "-", "–": "-"})
_PARTS = 20  # one twentieth of all sources decides when training stops, two are kept for testing
_SALT = b"5"  # it leaves "zero", the only source with a z, and the ten single digits in training
_TRIES = 20_000


@dataclass(frozen=True)
class Task:
    """A rule that makes pairs of texts: ``longest`` and ``longest_output`` count characters, ``lengths`` are worth comparing.

    ``trained`` are the fewest and most characters of a source in training; ``accepts`` says the source's characters in words.
    """

    name: str
    title: str
    explain: str
    examples: tuple[str, ...]
    source_alphabet: str
    target_alphabet: str
    accepts: str
    longest: int
    longest_output: int
    trained: tuple[int, int]
    lengths: tuple[int, ...]
    make: Callable[[random.Random, int | None], str] = field(repr=False)
    read: Callable[[str], str | None] = field(repr=False)

    def sample(self, rng: random.Random, length: int | None = None) -> tuple[str, str]:
        """A source and its right answer; with ``length`` a source of so many characters, or of the nearest number that can be made."""
        return self._pair(self.make(rng, length)) if length is None else self._near(rng, length, "")

    def sample_from(self, part: str, rng: random.Random, length: int | None = None) -> tuple[str, str]:
        """As ``sample``, but only sources of one part: "train", "stop" (when to end training) or "test"; no source is in two."""
        if length is not None:
            return self._near(rng, length, part)
        return self._pair(next(source for _ in range(_TRIES) if part_of(source := self.make(rng, None)) == part))

    def check(self, text: str) -> str:
        """The text in lower case with single blanks; TextError says what is accepted when it is empty, too long or has other characters."""
        cleaned = " ".join(unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY).casefold().split())
        if not cleaned:
            raise TextError(f"There is nothing to read yet: type something such as {self.examples[0]!r}.")
        if len(cleaned) > self.longest:
            raise TextError(f"This text has {len(cleaned)} characters and this model reads at most {self.longest}: make it shorter.")
        others = list(dict.fromkeys(letter for letter in cleaned if letter not in self.source_alphabet))
        if others:
            shown = ", ".join(_shown(letter) for letter in others[:3]) + (" and more" if len(others) > 3 else "")
            raise TextError(f"This model never learned {shown}: it reads {self.accepts}, such as {self.examples[0]!r}.")
        return cleaned

    def truth(self, text: str) -> str | None:
        """The right answer of a cleaned text, or None where the rule cannot read it."""
        return self.read(text)

    def _near(self, rng: random.Random, length: int, part: str) -> tuple[str, str]:
        nearest = None
        for _ in range(_TRIES if part else 256):
            source = self.make(rng, length)
            nearer = nearest is None or abs(len(source) - length) < abs(len(nearest) - length)
            if nearer and (not part or part_of(source) == part):
                nearest = source
                if len(source) == length:
                    break
        if nearest is None:
            raise VizlibError(f"The task {self.name!r} has no source of about {length} characters in its part {part!r}.")
        return self._pair(nearest)

    def _pair(self, source: str) -> tuple[str, str]:
        target = self.read(source)
        if target is None:
            raise VizlibError(f"The rule of {self.name!r} made {source!r} and cannot read it.")
        return source, target


def part_of(source: str) -> str:
    """Which part a source belongs to, by its hash: "train", "stop" or "test"."""
    number = int.from_bytes(hashlib.blake2b(source.encode(), digest_size=4, salt=_SALT).digest(), "little") % _PARTS
    return "stop" if number == 0 else "test" if number <= 2 else "train"


def _shown(letter: str) -> str:
    if letter == " ":
        return "the blank"
    return f"'{letter}'" if letter.isprintable() and not unicodedata.combining(letter) else f"U+{ord(letter):04X}"
