"""What a piece of work made and later ones want again, such as a pass with all of its tensors: a bounded memory of this process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from vizlib.engine.cache import BoundedCache
from vizlib.engine.memory import available_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MOST_BYTES: Final = 1 << 29
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Remembered:
    value: Any
    nbytes: int


def remember(key: tuple[Hashable, ...], make: Callable[[], T], nbytes: Callable[[T], int]) -> T:
    """The value of ``key``, made by ``make()`` where this process has it not, or no more: any worker can answer.

    The key begins with the identity of the model that the value was made with. ``nbytes`` says what keeping a value takes; the least
    recently used ones go first.
    """

    def remembered() -> _Remembered:
        value = make()
        return _Remembered(value, nbytes(value))

    return cast("T", _memory().get(key, remembered).value)


def expire(seconds: float) -> None:
    """Let go of what nobody asked for in the last ``seconds``."""
    _memory().expire(seconds)


def forget(identity: str) -> None:
    """Let go of everything that was made with the model of this identity."""
    _memory().drop(lambda key: key[0] == identity)


@cache
def _memory() -> BoundedCache[tuple[Hashable, ...], _Remembered]:
    return BoundedCache(max_bytes=min(available_memory() // 8, MOST_BYTES), size=lambda remembered: remembered.nbytes)
