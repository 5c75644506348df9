"""Words can be read on what they stand on, in the light theme and in the dark one: a contrast of 4.5 at least (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

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


def caption_colour(text, ground):
    """What a caption in a colour of text looks like on its ground, "#rrggbb"."""
    parts = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (text, ground)]
    return "#" + "".join(f"{round(CAPTION * own + (1 - CAPTION) * below):02x}" for own, below in zip(*parts, strict=True))


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
