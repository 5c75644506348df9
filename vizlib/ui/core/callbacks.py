"""Callbacks of widgets that may fire after their page has gone: what they would read is no longer there, and nobody sees what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = "shell.page"  # the key of the page that a visitor is on


def current_page() -> str | None:
    """The page that this visitor was last on; None before the first."""
    page: str | None = st.session_state.get(PAGE)
    return page


class here:  # noqa: N801  reads as a word: on_click=here(take)
    """A callback that does nothing once its visitor is on another page, or what it reads of the session has left with its widget."""

    def __init__(self, callback: Callable[..., object]) -> None:
        self._callback, self._page = callback, current_page()

    def __call__(self, *args: Any, **options: Any) -> None:
        """Call it, where its page is still there."""
        if current_page() != self._page:
            return
        try:
            self._callback(*args, **options)
        except KeyError as error:
            # Streamlit's own words for a key that left the session; any other KeyError is a fault.
            if "st.session_state has no key" not in str(error):
                raise


def anywhere(callback: Callable[[], None]) -> Callable[[], None]:
    """A callback of the frame around all pages, which may fire on any of them and reads nothing that a page takes with it."""
    return callback
