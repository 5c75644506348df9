"""A query and the reduced grid of keys it looks at, and what one of those keys gathers."""

from __future__ import annotations

from vizlib.ui.components import register

_component = register("reduced_keys")


def reduced_keys(message: bytes, *, key: str) -> None:
    """Draw what ``pack_reduced_keys`` packed."""
    _component(data=message, key=key)
