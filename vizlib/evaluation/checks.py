"""The sanity checks, and what came of one: cards and numbers, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DRAWS, NOISE, MOST, LEAST = 2, 0.02, 0.8, 0.2
OTHERS = 4  # classes for which a map is made again
_BOUND = (
    f"Passed below half of what is left under noise of {NOISE:g} of the input's range, or below the most that the map resembles itself "
    f"mirrored or moved by half its sides, which a smooth map does by chance; but never above {MOST:g}. "
    f"Not passed where noise leaves less than {LEAST:g}, or less than chance gives on the average: such a map is another one each time."
)
_MEAN = f"the size of Spearman's rank correlation of the two maps, the mean over {DRAWS} draws"


@dataclass(frozen=True)
class CheckCard:
    """One check: ``name`` in code, ``title`` on pages, ``condition`` the words for what has changed, ``definition`` the exact rule.

    ``by_class`` says that a method which does not look at the class stays the same by design; ``decisive``, that a map which does not
    pass it has failed, whatever else it passes.
    """

    name: str
    title: str
    condition: str
    definition: str
    by_class: bool = True
    decisive: bool = False


_CARDS = (
    CheckCard(
        "head",
        "New classifier",
        "With a new classifier",
        f"The classifier's weights are drawn anew, and the map is made again: {_MEAN}. {_BOUND}",
    ),
    CheckCard(
        "cascade",
        "All weights new",
        "With all weights new",
        f"Every weight from the last layer down to the first is drawn anew, and the map is made again: {_MEAN}. {_BOUND}",
        by_class=False,
        decisive=True,
    ),
    CheckCard(
        "class",
        "Other classes",
        "For other classes",
        f"The map is made again for {OTHERS} classes (or as many as there are), drawn with a fixed seed from the less probable half of the "
        "others: the most probable others are often other words for the same thing, for which the same map is right (for a difference "
        "of two with a signed method, for the reverse). The mean of Spearman's rank correlations with these maps, where opposite maps are "
        f"different. {_BOUND}",
    ),
)
CHECKS: dict[str, CheckCard] = {card.name: card for card in _CARDS}


@dataclass(frozen=True, eq=False)
class Check:
    """How alike a map still is, ``similarity`` from -1 to 1, after something it should tell of has changed, and whether that ``passed``.

    ``reason`` is one sentence with the number, ``definition`` the exact rule, ``map`` (h, w) the input map of the first of the changed
    ``runs`` that the similarity is the mean over.
    """

    name: str
    title: str
    similarity: float
    passed: bool
    reason: str
    definition: str
    map: np.ndarray
    runs: int = DRAWS
