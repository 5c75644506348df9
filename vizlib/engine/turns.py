"""Long pieces of work that take turns: each goes on for a slice of time, then lets the next one go on."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


class Turns:
    """Whose turn it is among the pieces of work that are under way.

    A piece that is short ends within its first slice, as in a queue; a long one then goes on beside others. A turn ends with its slice
    even where its holder has not come to a step, so one that waits for what another makes never waits for good.
    """

    def __init__(self, slice_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._slice, self._clock = slice_seconds, clock
        self._lock = threading.Lock()
        self._order: deque[Hashable] = deque()  # the first holds the turn
        self._began = 0.0

    @contextmanager
    def among(self, name: Hashable) -> Iterator[None]:
        """Have a piece of work take part; it comes after those that wait already."""
        with self._lock:
            self._order.append(name)
            if len(self._order) == 1:
                self._began = self._clock()
        try:
            yield
        finally:
            with self._lock:
                held = self._order[0] == name
                self._order.remove(name)
                if held:
                    self._began = self._clock()

    def left(self, name: Hashable) -> float:
        """The seconds until it can be this one's turn, 0 where it is; a holder whose slice is over hands the turn on."""
        with self._lock:
            now = self._clock()
            if now - self._began >= self._slice:
                self._order.rotate(-1)
                self._began = now
            return 0.0 if self._order[0] == name else self._began + self._slice - now
