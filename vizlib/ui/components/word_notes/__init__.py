"""The meaning of a word, opened where the word stands: any link of the page to ``#word-...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.ui.components import register
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

_component = register("word_notes")


def word_notes(meanings: Mapping[str, tuple[str, str, str]], *, key: str) -> None:
    """Open {name of the link: (word, meaning, its role: query, key, value or nothing)} where a visitor asks for it."""
    _component(data=pack({"meanings": meanings}), key=key)
