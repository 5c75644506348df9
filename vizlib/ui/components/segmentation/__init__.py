"""Training-free segmentations side by side: groups of like features, their boundaries over the photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register

if TYPE_CHECKING:
    from collections.abc import Callable

_component = register("segmentation")


def segmentation(message: bytes, *, key: str, on_groups: Callable[[], None]) -> Any:
    """Draw what ``pack_segmentation`` packed; ``.groups`` of the result is the number of groups last told, or None."""
    return _component(data=message, key=key, default={"groups": None}, on_groups_change=on_groups)
