"""Where the words of the glossary are marked in a page's sentences."""

from __future__ import annotations

import pytest

from vizlib.catalog import glossary
from vizlib.ui.core.words import anchor, marked


def test_a_word_is_marked_where_it_comes_first_on_a_page_and_only_there():
    places = {}
    first = marked("Every patch is a token; patches meet in **heads**.", "attention", places)
    assert first == "Every [patch](#word-patch) is a [token](#word-token); patches meet in **[heads](#word-head)**."
    assert marked("A token again, after 3 layers", "attention", places) == "A token again, after 3 layers"
    again = marked("Every patch is a token; patches meet in **heads**.", "attention", places)
    assert again == first  # a part of the page that is drawn again keeps its marks


def test_a_sentence_with_other_numbers_keeps_its_marks():
    places = {}
    assert "[token](" in marked("Of 64 patches, the token reads 3", "attention", places)
    assert "[token](" in marked("Of 16 patches, the token reads 12", "attention", places)


def test_the_longer_word_is_meant():
    assert marked("The class token and a token", "cvt", {}) == "The [class token](#word-class-token) and a [token](#word-token)"
    assert marked("The logit lens", "attention", {}) == "The [logit lens](#word-logit-lens)"


@pytest.mark.parametrize(
    "text",
    [
        "Use the arrow keys",  # no key of attention
        "The highest value is shown",
        "`token` and $token$ and [a token](https://example.org) and :blue[token]",
        "Nothing of the glossary",
    ],
)
def test_what_means_something_else_is_left_alone(text):
    assert marked(text, "attention", {}) == text


def test_query_key_and_value_are_marked_where_they_come_together():
    text = marked("A convolution makes queries, keys and values.", "cvt", {})
    assert text == "A convolution makes [queries](#word-query), [keys](#word-key) and [values](#word-value)."


def test_a_page_has_its_own_words_only():
    assert marked("A query and a key", "biases", {}) == "A query and a key"


def test_every_word_has_a_name_of_its_own():
    assert len({anchor(word) for word in glossary.ENTRIES}) == len(glossary.ENTRIES)
