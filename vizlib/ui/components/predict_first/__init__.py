"""Where will it look? The learner spreads the attention by hand; then the truth, and how far off the guess was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("predict_first")


def predict_first(message: bytes, *, key: str, on_change: Callable[[], None]) -> Any:
    """Draw what ``pack_predict_first`` packed; ``.view`` of the result is {revealed: identity} once the truth was asked for."""
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_change)
