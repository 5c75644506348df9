"""Small pictures to choose one from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizlib.ui.core.pictures import Picture

_component = register("image_gallery")


def image_gallery(choices: Mapping[str, Picture], chosen: str, *, key: str, on_pick: Callable[[], None]) -> Any:
    """Draw the pictures by name; ``.pick`` of the result is the name just chosen, else None."""
    items = [
        {"name": name, "title": picture.title, "credit": picture.credit, "source": picture.thumbnail} for name, picture in choices.items()
    ]
    return _component(data=pack({"items": items, "chosen": chosen}), key=key, on_pick_change=on_pick)
