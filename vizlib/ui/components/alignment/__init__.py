"""Which character was read when each one was written: a matrix that grows as the answer does, under the mouse and the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("alignment")


def alignment(message: bytes, *, key: str, on_change: Callable[[], None] | None = None) -> Any:
    """Draw what ``pack_alignment`` packed; ``.view`` of the result is the step that was chosen {step}, or None."""
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change or _ignore)


def _ignore() -> None:
    pass
