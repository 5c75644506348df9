"""Every page has its words, every word is explained, and none is explained for nobody."""

from __future__ import annotations

from pathlib import Path

from vizlib.catalog.glossary import ENTRIES, PAGES

ROOT = Path(__file__).resolve().parents[3]


def test_every_page_has_words_and_every_word_a_page():
    assert set(PAGES) == {path.stem for path in (ROOT / "pages").glob("*.py")}
    assert {word for words in PAGES.values() for word in words} == set(ENTRIES)


def test_entries_are_short_sentences():
    for word, text in ENTRIES.items():
        assert text.endswith("."), word
        assert len(text) < 160, word
