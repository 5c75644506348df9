"""Parts of a page that are drawn again by themselves, every few seconds, while the rest of it stays."""

from __future__ import annotations

from functools import wraps
from itertools import count
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Callable

_numbers = count()


def drawn_every(function: Callable[..., None], beat: float | None) -> Callable[..., None]:
    """The fragment that calls ``function`` every ``beat`` seconds until the whole page is drawn again.

    Each has an identity of its own, which Streamlit makes from the name. Otherwise a look that the browser asked for while the page was
    drawn counts as one at the new page; on a busy server it then ends the run that drew it before the browser heard of it, and half
    a page stays.
    """

    @wraps(function)
    def look(*args: object) -> None:
        function(*args)

    look.__qualname__ = f"{function.__qualname__}.{next(_numbers)}"
    return st.fragment(look, run_every=beat)
