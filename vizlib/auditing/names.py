"""Names in an audit: unique, and in the order of the numbers in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def unique(names: Iterable[str]) -> list[str]:
    """The names in order, of equal ones all but the first with a number: "cat.jpg", "cat.jpg (2)"."""
    taken: set[str] = set()
    result = []
    for name in names:
        own, count = name, 1
        while own in taken:
            count += 1
            own = f"{name} ({count})"
        taken.add(own)
        result.append(own)
    return result


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """The key by which epoch-10 comes after epoch-9."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name)]
