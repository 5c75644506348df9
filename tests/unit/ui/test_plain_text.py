"""What a visitor wrote stays text, whatever Markdown, HTML or Streamlit would make of it."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from vizlib.ui.core.formatting import WORD_JOINER, plain

HOSTILE = "![x](http://e) <img src=x onerror=alert(1)> :red[x] $x$ [a](javascript:alert(1)) :material/home: .png"
TEXTS = [
    HOSTILE,
    "a_*b*[x](y)",
    "**bold** __bold__ _a_ *a* ~~gone~~",
    "`code` ``more``",
    "# head",
    "  # head",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "> quote",
    "a\n\n# head",
    "a\n===",
    "<b>x</b>",
    "<!-- x",
    "&lt;b&gt; &#35; &amp",
    "\\*a\\*",
    "\\",
    "a | b\n--|--",
    "http://example.org/a",
    "https://e.org www.e.org me@e.org mailto:me@e.org",
    "<http://e.org>",
    "![a][b]",
    "[a]: http://e",
    ":smile: :+1: :streamlit:",
    ":blue-badge[x]",
    "$$x$$",
    "a:b c: d",
    "snake_case_name_",
    "_",
    "",
    "***",
    "---",
    "a  \nb",
    ":material/home:",
    "::red[x]",
    ":red[:material/home:]",
    "x](y)",
]


def as_read(text: str) -> str:
    """What a browser shows of one paragraph of Markdown; any element in it fails."""
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"before {text} after")
    inside = re.fullmatch(r"<p>(.*)</p>\s*", rendered, re.DOTALL)
    assert inside is not None, rendered
    assert "<" not in inside[1], rendered
    return html.unescape(inside[1])


@pytest.mark.parametrize("text", TEXTS)
def test_markdown_finds_nothing_and_loses_nothing(text: str) -> None:
    shown = as_read(plain(text)).replace(WORD_JOINER, "")
    assert " ".join(shown.split()) == " ".join(f"before {text} after".split())


@pytest.mark.parametrize("text", TEXTS)
def test_at_the_beginning_of_a_line_too(text: str) -> None:
    rendered = MarkdownIt("commonmark", {"html": True}).render(plain(text))
    shown = html.unescape(re.sub(r"</?p>", "", rendered)).replace(WORD_JOINER, "")
    assert " ".join(shown.split()) == " ".join(text.split())


@pytest.mark.parametrize("text", TEXTS)
def test_streamlit_finds_no_icon_emoji_or_address_in_the_text(text: str) -> None:
    shown = as_read(plain(text))
    assert not re.search(r":material/\w+:|:[\w+-]+:|https?://|www\.|\w@\w", shown, re.IGNORECASE)
    assert not re.search(r"(?<!\\):[a-z-]+\[", plain(text))
    assert not re.search(r"(?<!\\)\$", plain(text))


@pytest.mark.parametrize(
    "text", ["The weights of vit_tiny50 (3 of 4) do not fit: choose another, e.g. a-b.", "Nothing here!", "a - b + c > d"]
)
def test_ordinary_sentences_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
