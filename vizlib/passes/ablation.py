"""What is switched off in a pass: written down without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class HeadAblation:
    """What is switched off; attentions are numbered in the order of execution, as in ``Trace.attention``.

    ``heads`` maps (attention, head) to "zero", "mean" or "uniform"; ``cut`` maps an attention to keys that none of its queries may look
    at. ``dropped`` are tokens of the last grid, learned ones first: every attention loses the keys that are these tokens, or that lie at
    least half inside them. A mean or pooled read-out still counts what a dropped token holds.
    """

    heads: Mapping[tuple[int, int], str] = field(default_factory=dict)
    cut: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.heads or self.dropped or any(self.cut.values()))
