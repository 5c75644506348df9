"""Every page has its words, every word is explained, and none is explained for nobody."""

from __future__ import annotations

import re
from pathlib import Path

from vizlib.catalog import glossary
from vizlib.catalog.glossary import ENTRIES, PAGES

ROOT = Path(__file__).resolve().parents[3]


def test_every_page_has_words_and_every_word_a_page():
    assert set(PAGES) == {path.stem for path in (ROOT / "pages").glob("*.py")}
    assert {word for words in PAGES.values() for word in words} == set(ENTRIES)


def test_query_key_and_value_have_the_colours_that_are_drawn():
    text = glossary.listed("cvt")
    assert f'- **:color[query]{{foreground="{glossary.ROLES["query"]}"}}**: What a token asks' in text
    assert "- **token**: One row" in text
    sources = [path.read_text("utf-8") for kind in ("py", "js", "css", "html") for path in (ROOT / "vizlib/ui").rglob(f"*.{kind}")]
    for role, color in glossary.ROLES.items():
        assert any(f"var(--{role})" in source for source in sources)
        assert not any(re.search(rf"--{role}: *#", source) for source in sources), f"{color} has one place, in the glossary"
    drawn = ("decoder_step", "conv_projection", "reduced_keys")
    assert all("attention_roles.css" in (ROOT / f"vizlib/ui/components/{name}/{name}.css").read_text("utf-8") for name in drawn)


def test_entries_are_short_sentences():
    for word, text in ENTRIES.items():
        assert text.endswith("."), word
        assert len(text) < 160, word
