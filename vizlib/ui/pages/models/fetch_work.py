"""The work of fetching a set of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib import ModelCard
    from vizlib.engine.jobs import Progress
    from vizlib.zoo.weight_sets import WeightSet


def fetch_set(weight_set: WeightSet, progress: Progress) -> int:
    """Fetch what is not here of a set, one file after the other; how many models it has."""
    from vizlib.zoo.weight_sets import fetch_all, pending

    progress(0, None, "Asking for sizes")

    def report(card: ModelCard, there: int, total: int | None) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        progress(there, total, f"Fetching {card.name}: {there / 1e6:.0f}{of} MB")

    return len(fetch_all(pending(weight_set.models), report))
