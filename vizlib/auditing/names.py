"""Names that are unique in an audit."""

from __future__ import annotations

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
