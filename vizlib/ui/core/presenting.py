"""The whole app before a class: its place in every page's address, and what is folded away meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

PARAMETER = "present"  # beside what a page keeps in its address
KEY = "app.presenting"  # of the switch


def in_address() -> dict[str, str]:
    """What the address says of it."""
    return {PARAMETER: "1"} if st.session_state.get(KEY) else {}


def controls(name: str) -> DeltaGenerator:
    """A container for what chooses what a page shows, which is folded away while it is presented; ``name`` is the page's own."""
    return st.container(key=f"controls-{name}")
