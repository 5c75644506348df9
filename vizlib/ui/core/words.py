"""Words of the glossary in sentences: at its first place on a page each is a link that opens its meaning there."""

from __future__ import annotations

import re

import streamlit as st

from vizlib.catalog import glossary

_PAGE = "words.page"
_MARKED = "words.marked"  # where each word of the page is marked: in the sentence that begins so
_LEFT_ALONE = re.compile(r"(\[[^\]]*\]\([^)]*\)|`[^`]*`|\$[^$]*\$|:[\w-]+\[[^\]]*\])")
_TRIPLE = {"query": r"\bquer(?:y|ies)\b", "key": r"(?<!arrow )\bkeys?\b", "value": r"\bvalues?\b"}
_BEGINNING = 40  # characters that tell a sentence from others, its numbers left out


def begin_words(page: str) -> None:
    """A page begins: no word is marked yet."""
    st.session_state[_PAGE], st.session_state[_MARKED] = page, {}


def draw_text(text: str) -> None:
    """A text in Markdown, the page's words of the glossary marked in it where they come first."""
    st.markdown(mark_words(text))


def mark_words(text: str) -> str:
    """A text in Markdown with the page's words of the glossary marked, to be drawn with others."""
    return marked(text, st.session_state.get(_PAGE, ""), st.session_state.setdefault(_MARKED, {}))


def marked(text: str, page: str, places: dict[str, str]) -> str:
    """The text with a link ``#word-...`` on each word of the page that no other text in ``places`` has; these are written there."""
    here = re.sub(r"\d", "", text)[:_BEGINNING]
    words = [word for word in glossary.PAGES.get(page, ()) if places.get(word, here) == here and _meant(word, text)]
    parts = _LEFT_ALONE.split(text)
    for word in sorted(words, key=len, reverse=True):
        for place, part in enumerate(parts):
            found = None if place % 2 else re.search(_TRIPLE.get(word, rf"\b{word}(?:s|es)?\b"), part, re.IGNORECASE)
            if found:
                places[word] = here
                link = f"[{found[0]}](#{anchor(word)})"
                parts[place : place + 1] = [part[: found.start()], link, part[found.end() :]]
                break
    return "".join(parts)


def anchor(word: str) -> str:
    """What the link of a word names."""
    return f"word-{word.lower().replace(' ', '-')}"


def _meant(word: str, text: str) -> bool:
    """Whether a text means the word as the glossary does: of query, key and value only where two of them come together."""
    if word not in _TRIPLE:
        return True
    return sum(re.search(pattern, text) is not None for pattern in _TRIPLE.values()) > 1
