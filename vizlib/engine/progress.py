"""How far a method has come, told to whoever listens in the calling context; the listener may raise to stop it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listener(Protocol):
    """What is called with the images that went through the model, and how many will, where that is known."""

    def __call__(self, completed: float, total: float | None = None, message: str | None = None, /) -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("vizlib_progress", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of every explanation that is made inside the block, in this context only."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(completed: float, total: float | None) -> None:
    """Say how many of ``total`` images have gone through the model."""
    listener = _listener.get()
    if listener is not None:
        listener(completed, total)
