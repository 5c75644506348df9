"""One progress over many runs that each tell of their own."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

from vizlib.engine.progress import tell, told_to

if TYPE_CHECKING:
    from collections.abc import Iterator


class Steps:
    """Tells the listener of the context it is made in how many of ``total`` images went through the model; it never goes back."""

    def __init__(self, total: float) -> None:
        self._done, self._furthest, self._total = 0.0, 0.0, total
        self._outside = copy_context()

    def did(self, images: float) -> None:
        """So many more images went through."""
        self._done += images
        self._tell(self._done)

    @contextmanager
    def within(self, images: float) -> Iterator[None]:
        """What tells of itself inside the block moves this progress by ``images`` from its beginning to its end."""

        def listener(completed: float, total: float | None = None, message: str | None = None) -> None:  # noqa: ARG001
            self._tell(self._done + images * (min(1.0, completed / total) if total else 0.0))

        with told_to(listener):
            yield
        self.did(images)

    def _tell(self, completed: float) -> None:
        self._furthest = max(self._furthest, completed)
        self._outside.run(tell, self._furthest, self._total)
