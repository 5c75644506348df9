"""A picture with its patches shuffled or shifted, and how far each model's answer and tokens moved with it."""

from __future__ import annotations

from vizlib.ui.components import register

_component = register("shuffle_shift")


def shuffle_shift(message: bytes, *, key: str) -> None:
    """Draw what ``pack_shuffle_shift`` packed."""
    _component(data=message, key=key)
