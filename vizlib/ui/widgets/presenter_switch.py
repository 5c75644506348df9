"""What lies over every page: the switch that shows the whole app as to a class, and the meanings of words."""

from __future__ import annotations

import streamlit as st

from vizlib.catalog.glossary import ENTRIES, ROLES
from vizlib.ui.components.presenter import presenter
from vizlib.ui.components.word_notes import word_notes
from vizlib.ui.core import presenting
from vizlib.ui.core.callbacks import anywhere
from vizlib.ui.core.url_state import resend
from vizlib.ui.core.words import anchor
from vizlib.ui.widgets.page_style import draw_page_style


def draw_presenter(title: str) -> None:
    """The switch, at first as the address says, what presents the page with this title, and what opens the meaning of a word."""
    state = st.session_state
    if presenting.KEY not in state:
        state[presenting.KEY] = st.query_params.get(presenting.PARAMETER) == "1"
    with st.sidebar:
        presented = st.toggle(
            "Present",
            key=resend(presenting.KEY),
            help="For a projector: larger type, one section a screen. Arrow keys or a clicker go from section to section; Escape leaves.",
        )
        draw_page_style()
    word_notes({anchor(word): (word, meaning, word if word in ROLES else "") for word, meaning in ENTRIES.items()}, key="app-words")
    presenter(presenting=presented, page=title, key="app-presenter", on_leave=anywhere(_stop))


def _stop() -> None:
    st.session_state[presenting.KEY] = False
