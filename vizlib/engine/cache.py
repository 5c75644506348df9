"""A cache of heavy things, bounded in bytes and in number, that makes each of them once however many ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from vizlib.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds (``count``, ``bytes``), its bounds, and what it did since it was made."""

    count: int
    bytes: int
    max_count: int
    max_bytes: int
    making: int
    hits: int
    misses: int
    evictions: int


class _Making(Generic[V]):
    """A value that one thread makes and others wait for."""

    def __init__(self) -> None:
        self.maker = threading.get_ident()
        self.done = threading.Event()
        self.value: list[V] = []
        self.error: BaseException | None = None


class BoundedCache(Generic[K, V]):
    """Least recently used values go first; whoever still holds one keeps working with it.

    ``size`` gives the bytes of a value. The newest value always stays, even when it alone is over ``max_bytes``. ``on_evict`` hears
    the key of a value after the cache let go of it, in the thread that caused it and outside the lock: the place for
    ``gc.collect()`` and for emptying a device's cache. Every method may be called from any thread.
    """

    def __init__(
        self, *, max_bytes: int, size: Callable[[V], int], max_count: int = 64, on_evict: Callable[[K], object] | None = None
    ) -> None:
        if max_bytes < 0 or max_count < 1:
            raise ValueError(f"A cache needs room for one value, not max_bytes={max_bytes}, max_count={max_count}.")
        self._size, self._on_evict = size, on_evict
        self._max_bytes, self._max_count = max_bytes, max_count
        self._lock = threading.Lock()
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._used: dict[K, float] = {}  # when each value was last asked for
        self._making: dict[K, _Making[V]] = {}
        self._bytes = self._hits = self._misses = self._evictions = 0

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of ``key``, made by ``make()`` in this thread when nobody has it and nobody is at it.

        An error of ``make`` reaches everybody who waits for it and is not kept; after a cancelled ``make`` the next in line tries.
        """
        while True:
            with self._lock:
                if key in self._held:
                    return self._touched(key)
                making = self._making.get(key)
                if making is None:
                    self._misses += 1
                    own_making = self._making[key] = _Making()
                    break
            if making.maker == threading.get_ident():
                raise RuntimeError(f"The cache was asked for {key!r} by the very function that makes it.")
            making.done.wait()
            if making.error is None:
                with self._lock:
                    self._hits += 1
                return making.value[0]
            if not isinstance(making.error, CancelledError):
                raise making.error
        return self._make(key, make, own_making)

    def peek(self, key: K) -> V | None:
        """The value of ``key`` if it is here, None if not; nobody makes it."""
        with self._lock:
            return self._touched(key) if key in self._held else None

    def _make(self, key: K, make: Callable[[], V], own_making: _Making[V]) -> V:
        try:
            value = make()
            size = self._size(value)
        except BaseException as error:
            with self._lock:
                if self._making.get(key) is own_making:
                    del self._making[key]
            own_making.error = error
            own_making.done.set()
            raise
        with self._lock:
            evicted: list[K] = []
            if self._making.get(key) is own_making:  # not cleared meanwhile
                del self._making[key]
                self._held[key], self._used[key] = (value, size), time.monotonic()
                self._bytes += size
                while len(self._held) > 1 and (self._bytes > self._max_bytes or len(self._held) > self._max_count):
                    oldest = next(iter(self._held))
                    self._let_go(oldest)
                    evicted.append(oldest)
                self._evictions += len(evicted)
        own_making.value.append(value)
        own_making.done.set()
        self._tell(evicted)
        return value

    def clear(self) -> None:
        """Let go of everything; what is being made still reaches those who wait, and is not kept."""
        self.drop(lambda _: True)

    def drop(self, wanted: Callable[[K], bool]) -> None:
        """Let go of the values whose key is ``wanted``; one that is being made still reaches those who wait, and is not kept."""
        with self._lock:
            evicted = [key for key in self._held if wanted(key)]
            for key in evicted:
                self._let_go(key)
            self._making = {key: making for key, making in self._making.items() if not wanted(key)}
            self._evictions += len(evicted)
        self._tell(evicted)

    def expire(self, seconds: float) -> None:
        """Let go of what nobody asked for in the last ``seconds``."""
        before = time.monotonic() - seconds
        with self._lock:
            evicted = [key for key in self._held if self._used[key] < before]
            for key in evicted:
                self._let_go(key)
            self._evictions += len(evicted)
        self._tell(evicted)

    def info(self) -> CacheInfo:
        """The state of the cache at this moment."""
        with self._lock:
            return CacheInfo(
                count=len(self._held),
                bytes=self._bytes,
                max_count=self._max_count,
                max_bytes=self._max_bytes,
                making=len(self._making),
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
            )

    def _touched(self, key: K) -> V:
        self._held.move_to_end(key)
        self._used[key] = time.monotonic()
        self._hits += 1
        return self._held[key][0]

    def _let_go(self, key: K) -> None:
        self._bytes -= self._held.pop(key)[1]
        del self._used[key]

    def _tell(self, evicted: list[K]) -> None:
        if self._on_evict is not None:
            for key in evicted:
                self._on_evict(key)
