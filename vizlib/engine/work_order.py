"""What is handed to whoever does the work: a function, the models that it is called with, and which lane it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.engine.jobs import Progress
    from vizlib.engine.limits import Limits


class Lane(StrEnum):
    """In which order work is done: each process has threads for each, and what stands later waits for LIGHT and for HEAVY."""

    LIGHT = "light"  # one map, one pass
    FETCH = "fetch"  # a model whose weights have to come from the internet first
    HEAVY = "heavy"  # scores, comparisons, experiments, methods that sample
    UNASKED = "unasked"  # what a page has measured by itself


HEAVY_AT_ONCE = 3  # of one process, in turns, so that a long piece does not hold up the short ones behind it


def at_once(limits: Limits) -> dict[Lane, int]:
    """How many orders of each lane one process has under way."""
    return {Lane.LIGHT: limits.light_at_once, Lane.FETCH: 1, Lane.HEAVY: HEAVY_AT_ONCE, Lane.UNASKED: 1}


ModelMaker: TypeAlias = "Callable[[Progress], Any]"


@dataclass(frozen=True)
class WorkOrder:
    """``work(*models, progress=Progress)``, with each model by its identity and how it is made; all of it can be pickled."""

    work: Callable[..., Any]
    models: tuple[tuple[str, ModelMaker], ...] = ()
    seconds: int | None = None  # that it may take, where that is not what its lane allows


@dataclass(frozen=True)
class Report:
    """How far a running order is, as it is told to the process that waits for it."""

    completed: float
    total: float | None
    message: str
    shared: Any = None


@dataclass(frozen=True)
class Outcome:
    """How an order ended: with a ``value``, an ``error``, or, with neither, because it was told to stop."""

    value: Any = None
    error: BaseException | None = None
    stopped: bool = False
