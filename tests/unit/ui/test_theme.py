"""Words can be read on what they stand on, in the light theme and in the dark one: a contrast of 4.5 at least (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from vizlib.catalog.glossary import ROLES
from vizlib.ui.widgets.page_style import CODE

THEME = tomllib.loads((Path(__file__).resolve().parents[3] / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]


def luminance(colour):
    """Relative luminance of "#rrggbb", by WCAG's definition."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


CAPTION = 0.6  # how far Streamlit writes captions in the colour of the text


def mixed(first, second, share):
    """So much of the first colour with the second, "#rrggbb"."""
    parts = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (first, second)]
    return "#" + "".join(f"{round(share * own + (1 - share) * other):02x}" for own, other in zip(*parts, strict=True))


def caption_colour(text, ground):
    """What a caption in a colour of text looks like on its ground, "#rrggbb"."""
    return mixed(text, ground, CAPTION)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_words_can_be_read(name):
    theme = THEME[name]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["sidebar"]["backgroundColor"]]
    for ground in grounds:
        assert contrast(theme["textColor"], ground) >= 4.5
        assert contrast(caption_colour(theme["textColor"], ground), ground) >= 4.5
        assert contrast(theme["linkColor"], ground) >= 4.5
        assert contrast(theme["primaryColor"], ground) >= 3  # edges and sliders, which are no words (1.4.11)
    assert contrast(theme["codeTextColor"], theme["codeBackgroundColor"]) >= 4.5
    assert contrast("#ffffff", theme["primaryColor"]) >= 4.5  # what is chosen, white on the theme's colour


@pytest.mark.parametrize("name", ["light", "dark"])
def test_code_and_the_colours_of_query_key_and_value_can_be_read(name):
    theme = THEME[name]
    for colours in CODE.values():
        assert contrast(colours[name == "dark"], theme["codeBackgroundColor"]) >= 4.5
    for colour in ROLES.values():  # seven parts in ten, with the colour of the text, or with black or white, as the style sheets have it
        for ink in (theme["textColor"], {"light": "#000000", "dark": "#ffffff"}[name]):
            for ground in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
                assert contrast(mixed(colour, ink, 0.7), ground) >= 4.5
