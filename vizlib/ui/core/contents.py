"""The list of contents of a long page, made of the headings that it drew."""

from __future__ import annotations

import re

import streamlit as st

from vizlib.ui.core.formatting import plain

_HEADINGS = "contents.headings"
_LEAST = 3  # headings that make a page long


def begin_contents() -> None:
    """A page begins: nothing is listed yet."""
    st.session_state[_HEADINGS] = []


def heading(title: str, *, sub: bool = False) -> None:
    """A section's heading, which the list of contents leads to; ``sub`` draws it smaller."""
    draw = st.subheader if sub else st.header
    draw(title, anchor=anchor(title))
    listed = st.session_state.setdefault(_HEADINGS, [])
    if title not in listed:  # a part of the page that is drawn again by itself
        listed.append(title)


def draw_contents() -> None:
    """The list beside the page, where it is long: each section a link."""
    listed = st.session_state.get(_HEADINGS, [])
    if len(listed) >= _LEAST:
        with st.sidebar:
            st.markdown("\n".join(["**On this page**", "", *(f"- [{plain(title)}](#{anchor(title)})" for title in listed)]))


def anchor(title: str) -> str:
    """The name of a heading in an address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
