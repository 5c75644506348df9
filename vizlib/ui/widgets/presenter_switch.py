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

# They lie over the page from the first moment: by their own styles they would push the page down until their code has come. A table that
# is wider than a telephone scrolls by itself, or the whole page would. What is chosen in a row is read as easily as what is not: the
# theme's colour has too little contrast for words where the page is dark. So have the words on charts' axes, which Streamlit draws pale.
_STYLE = (
    "<style>.st-key-app-words, .st-key-app-presenter { position: absolute; } "
    "[data-testid=stMarkdownContainer] table { display: block; max-width: 100%; overflow-x: auto; } "
    "[data-testid=stButtonGroup] button[data-selected=true]:not(:disabled) { color: inherit; } "
    ".stPlotlyChart :is(.xtick, .ytick, .cbaxis) text, .stPlotlyChart :is(.xtitle, .ytitle) { fill: currentColor !important; }</style>"
)


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
        st.markdown(_STYLE, unsafe_allow_html=True)
    word_notes({anchor(word): (word, meaning, word if word in ROLES else "") for word, meaning in ENTRIES.items()}, key="app-words")
    presenter(presenting=presented, page=title, key="app-presenter", on_leave=anywhere(_stop))


def _stop() -> None:
    st.session_state[presenting.KEY] = False
