"""What a visitor chose inside a component, kept in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.ui.core.url_state import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vizlib.ui.core.url_state import UrlState


def component_state(
    url_state: UrlState, component: str, choices: Mapping[str, Sequence[str]], more: Mapping[str, tuple[Any, Callable[[str], Any]]]
) -> tuple[dict[str, Any], Callable[[], None]]:
    """The view of the component with this key, and what to call when its ``.view`` changed in the browser.

    ``choices`` are words of which the first is the default; ``more`` are parts with a default and a reader, which also checks what the
    browser tells.
    """
    readers: dict[str, Callable[[str], Any]] = {name: one_of(tuple(words)) for name, words in choices.items()}
    keys = {name: url_state.declare(name, words[0], readers[name]) for name, words in choices.items()}
    for name, (default, read) in more.items():
        readers[name], keys[name] = read, url_state.declare(name, default, read)
    state = st.session_state

    def take() -> None:
        chosen = state[component].view or {}
        for name, key in keys.items():
            if name not in chosen:
                continue
            value = chosen[name]
            try:
                state[key] = readers[name](".".join(map(str, value)) if isinstance(value, list) else str(value))
            except ValueError:
                continue

    return {name: state[key] for name, key in keys.items()}, take
