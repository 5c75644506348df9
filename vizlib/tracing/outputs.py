"""How code that runs inside a forward pass tells a recorder, if there is one, what it did.

Nobody listening costs one ContextVar read, so networks may call ``note`` unconditionally. A compiled forward pass is never recorded (the
module under it is), so that it stays one graph: the compiler of torch 2.11 cannot read a ContextVar.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from torch.compiler import is_compiling

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listener(Protocol):
    """What a recorder offers to the code it listens to."""

    def note(self, name: str, values: dict[str, Any]) -> None:
        """Keep ``values`` of the part called ``name``."""


_listener: ContextVar[Listener | None] = ContextVar("vizlib_listener", default=None)


def note(name: str, **values: Any) -> None:
    """Tell the recorder of this thread, if any, that the part called ``name`` produced ``values``."""
    listener = None if is_compiling() else _listener.get()
    if listener is not None:
        listener.note(name, values)


def heard() -> bool:
    """Whether somebody listens, so that what only a recorder wants is computed only then."""
    return not is_compiling() and _listener.get() is not None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the notes of this thread to ``listener`` for the length of the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
