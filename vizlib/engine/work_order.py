"""What is handed to whoever does the work: a function, the models that it is called with, and which lane it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.engine.jobs import Progress


class Lane(StrEnum):
    """In which order work is done: each process has threads for each, ``AT_ONCE``, and what stands later waits for LIGHT and for HEAVY."""

    LIGHT = "light"  # one map, one pass
    FETCH = "fetch"  # a model whose weights have to come from the internet first
    HEAVY = "heavy"  # scores, comparisons, experiments, methods that sample
    UNASKED = "unasked"  # what a page has measured by itself


# Pieces of heavy work that one process has under way take turns, so that a long one does not hold up the short ones behind it.
AT_ONCE = {Lane.LIGHT: 1, Lane.FETCH: 1, Lane.HEAVY: 3, Lane.UNASKED: 1}
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
