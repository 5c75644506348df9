"""Times of the floors and the methods, taken in turn so that what else the machine does falls on all of them."""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.bench.cases import floor_of
from vizlib.bench.workloads import load, run_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vizlib.bench.cases import Case

# On a machine that others use too the processor's time is the steadier one; it says nothing of a GPU, and adds up threads.
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_SECONDS, _FEWEST, _MOST = 4.0, 3, 15


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    rounds: tuple[float, ...]

    @property
    def least(self) -> float:
        """The fastest round."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.rounds)


def times(case: Case, device: str, rounds: int | None = None, clock: str = "wall") -> tuple[tuple[int, int], dict[str, Times]]:
    """The input's (h, w), and the times of a case's floors and methods by name; without ``rounds`` as many as fit a few seconds."""
    model, x = load(case, device)
    names = [*dict.fromkeys(map(floor_of, case.methods)), *case.methods]
    return (int(x.shape[2]), int(x.shape[3])), interleaved({name: run_workload(model, x, name) for name in names}, rounds, clock)


def interleaved(jobs: Mapping[str, Callable[[], object]], rounds: int | None = None, clock: str = "wall") -> dict[str, Times]:
    """The times of every job over ``rounds`` rounds in which each runs once, after one round that warms up and is not counted."""
    started = time.perf_counter()
    for job in jobs.values():
        job()
    once = time.perf_counter() - started
    if rounds is None:
        rounds = min(_MOST, max(_FEWEST, int(_SECONDS / once)))
    now = CLOCKS[clock]
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = now()
            job()
            taken[name].append(now() - started)
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


@contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Let torch use ``count`` processor threads inside the block, None for as many as it does; how many that is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield count or before
    finally:
        torch.set_num_threads(before)
