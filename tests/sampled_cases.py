"""Which cases of a large table of a test run by default."""

from __future__ import annotations

import hashlib
from collections import defaultdict

CASES = 12  # up to which all of them run
TENTH = 10  # of the cases that a sample leaves out, one in so many has its turn
HALF = 2  # of the cases that `make test` runs
FIFTH = 5  # of the longest cases of one test, after the first
THIRD = 3  # of the cases of a browser's test, after the first
GOLDEN = 0.6180339887  # multiples of it lie evenly in 0 to 1 from the first on


def sample(table: list[dict[str, str]]) -> list[int]:
    """Numbers of cases {parameter: value}: those that meet a value first, or of one parameter alone ``CASES`` at even distances."""
    if len(table) <= CASES:
        return list(range(len(table)))
    if len(table[0]) < 2:
        return [number * len(table) // CASES for number in range(CASES)]
    met: dict[str, set[str]] = defaultdict(set)
    chosen = []
    # All over the table: from its start on, the first value of one parameter would stand beside all values of another.
    for number in sorted(range(len(table)), key=lambda number: number * GOLDEN % 1):
        new = [name for name, value in table[number].items() if value not in met[name]]
        if new:
            chosen.append(number)
        for name in new:
            met[name].add(table[number][name])
    return sorted(chosen)


def has_its_turn(name: str, turn: str, share: int = TENTH) -> bool:
    """Whether a case that is left out runs in this turn: about one in ``share`` does, others in each."""
    return int.from_bytes(hashlib.sha256(f"{turn} {name}".encode()).digest()[:8], "big") % share == 0
