"""The stages of one or two models side by side at their true scale; a cell under the pointer is outlined in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

VIEWS = ("colours", "norm", "channels", "similarity", "rollout")
_component = register("feature_pyramid")


def feature_pyramid(message: bytes, *, key: str, on_view: Callable[[], None]) -> Any:
    """Draw what ``pack_feature_pyramid`` packed; ``.view`` of the result is the view last told, or None."""
    return _component(data=message, key=key, default={"view": None}, on_view_change=on_view)
