"""The Python behind what a page shows, folded, and what is known of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.core import formatting

if TYPE_CHECKING:
    from vizlib import ModelCard


def draw_snippet(code: str, *, title: str = "Use it from Python", command: str = "") -> None:
    """The Python that gives the page's numbers; with a ``command`` the same on a command line."""
    with st.expander(title, icon=":material/code:"):
        st.code(code, language="python", wrap_lines=True)
        if command:
            st.markdown("On the command line, over a folder `photos` of yours:")
            st.code(command, language="bash", wrap_lines=True)


def draw_model(card: ModelCard | None) -> None:
    """What is known of the page's model; nothing where its training is not shipped."""
    if card is not None:
        with st.expander("The model", icon=":material/menu_book:"):
            st.markdown(formatting.about(card))
