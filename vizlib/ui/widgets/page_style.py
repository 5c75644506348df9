"""What every page changes in Streamlit's own looks, where words would be too pale, too long in a line, or push the page about."""

from __future__ import annotations

import streamlit as st

from vizlib.catalog.glossary import ROLES

CODE = {
    ".token": ("#175e68", "#84cdd7"),
    ".keyword, .tag, .function, .class-name, .builtin": ("#1552b0", "#7db8ff"),
    ".string, .char, .attr-value": ("#1c6a38", "#82d69a"),
    ".number, .regex": ("#0a6670", "#63d1cb"),
    ".boolean, .constant": ("#7d2a86", "#dba6ea"),
    ".operator, .entity, .decorator": ("#8f4500", "#ffb36b"),
    ".variable, .parameter": ("#7a5200", "#e3bd66"),
    ".punctuation, .comment": ("#56616a", "#a5b0b9"),
}
"""Colours of kinds of code, (on the light theme, on the dark one): Streamlit's own are too pale on a light ground."""
_FADED = "color: color-mix(in srgb, currentColor 64%, transparent)"  # of the colour around; links and code keep their own


def _code_rule(kinds: str, light: str, dark: str) -> str:
    named = ", ".join(kind if kind == ".token" else f".token{kind}" for kind in kinds.split(", "))
    return f".stApp .stCode :is({named}) {{ color: light-dark({light}, {dark}); }}"


def _word_rule(colour: str) -> str:
    """A word in a colour of its own: on paper the colour is darker, in the dark lighter than where it fills an area."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    ink = f"color-mix(in srgb, {colour} 70%, light-dark(#000, #fff))"
    return f".stApp .stMarkdownColoredText[style*='rgb({red}, {green}, {blue})'] {{ color: {ink} !important; }}"


_RULES = (
    # They lie over the page from the first moment: by their own styles they would push the page down until their code has come.
    ".st-key-app-words, .st-key-app-presenter { position: absolute; }",
    # A table that is wider than a telephone scrolls by itself, or the whole page would.
    "[data-testid=stMarkdownContainer] table { display: block; max-width: 100%; overflow-x: auto; }",
    "@media (max-width: 1100px) { [data-testid=stMarkdownContainer] :is(th, td) { padding: 0.35rem 0.45rem; font-size: 0.875rem; } }",
    # A line of some 110 characters at most.
    "[data-testid=stMain] [data-testid=stMarkdownContainer] :is(p, li), [data-testid=stCaptionContainer] :is(p, li) { max-width: 48em; }",
    # What is chosen in a row is read as easily as what is not: the theme's colour has too little contrast for words on a dark page.
    "[data-testid=stButtonGroup] button[data-selected=true]:not(:disabled) { color: inherit; }",
    # Words on charts, which Streamlit draws pale.
    ".stPlotlyChart :is([class$=tick], .cbaxis, .textpoint) text { fill: currentColor !important; }",
    ".stPlotlyChart :is([class$=title], .annotation-text) { fill: currentColor !important; }",
    # Twelve methods by twelve on a telephone: a number with its sign has 18 pixels.
    "@media (max-width: 640px) { .stPlotlyChart .heatmaplayer text { letter-spacing: -0.07em; } }",
    # Streamlit makes a caption pale as a whole, its links and its code with it.
    f".stApp [data-testid=stCaptionContainer] {{ opacity: 1; {_FADED}; }}",
    ".stApp [data-testid=stCaptionContainer] code { font-size: 0.85em; }",
    *(_word_rule(colour) for colour in ROLES.values()),
    # A button that cannot be pressed can still be read, and is told from others by its edge.
    f".stApp [data-testid^=stBaseButton]:disabled {{ {_FADED}; border-style: dashed; }}",
    *(_code_rule(kinds, *colours) for kinds, colours in CODE.items()),
)
_STYLE = f"<style>{' '.join(_RULES)}</style>"


def draw_page_style() -> None:
    """Write the rules into the page."""
    st.markdown(_STYLE, unsafe_allow_html=True)
