"""What several threads ask for at nearly the same time, done in one go: on a card a batch costs little more than one picture."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")
R = TypeVar("R")
WINDOW: Final = 0.005  # seconds that the first of a kind waits for others; while one group is worked on the next one gathers anyway


@dataclass(eq=False)
class _Group(Generic[T, R]):
    items: list[T] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    results: list[R] = field(default_factory=list)


class Gathering(Generic[T, R]):
    """Gathers items of one kind, at most so many; the thread that brings the first of a group does the work for all of it."""

    def __init__(self, most: int, window: float = WINDOW) -> None:
        self._most, self._window = most, window
        self._change = threading.Condition()
        self._open: dict[Hashable, _Group[T, R]] = {}
        self._at_work: set[Hashable] = set()

    def run(self, kind: Hashable, item: T, together: Callable[[list[T]], list[R]]) -> R:
        """What ``together`` makes of an item: with others of its kind or, where that fails, alone, so that an error is its own."""
        with self._change:
            group = self._open.get(kind)
            leads = group is None
            if group is None:
                group = self._open[kind] = _Group()
            place = len(group.items)
            group.items.append(item)
            if len(group.items) == self._most:
                del self._open[kind]
                group.full.set()
        if leads:
            self._lead(kind, group, together)
        group.done.wait()
        return group.results[place] if group.results else together([item])[0]

    def _lead(self, kind: Hashable, group: _Group[T, R], together: Callable[[list[T]], list[R]]) -> None:
        group.full.wait(self._window)
        with self._change:
            self._change.wait_for(lambda: kind not in self._at_work)
            self._at_work.add(kind)
            if self._open.get(kind) is group:
                del self._open[kind]
        try:
            group.results = together(group.items)
        except Exception:
            if len(group.items) == 1:
                raise
        finally:
            with self._change:
                self._at_work.discard(kind)
                self._change.notify_all()
            group.done.set()
