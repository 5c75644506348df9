"""One step on the way to tokens, and what it costs: read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CostStep:
    """One step on the way to tokens: what it does, the shape (tokens, channels) that it leaves, and its multiply-adds."""

    name: str
    grid: tuple[int, int]
    shape: tuple[int, int]
    macs: int
