"""Words in pictures: no sign of them is drawn as the box of a font that lacks it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vizlib.figures import attribution_pictures
from vizlib.figures.picture_words import legible

LACKING = "\uffff"


def drawn(text: str, font) -> np.ndarray:
    canvas = Image.new("L", (40, 40))
    ImageDraw.Draw(canvas).text((8, 8), text, fill=255, font=font)
    return np.asarray(canvas)


@pytest.mark.parametrize(
    "text", ["1 of 7 passed, colours to 3.43×, 1.0\u00a0% above", "−0.1 ≤ x ≥ 2, max\u2011sensitivity", "Netz für Vögel", "Жук"]
)
def test_every_sign_is_drawn(text):
    words, font = legible(text, 12)
    box = drawn(LACKING, font)
    assert box.any()
    for sign in set(words) - {" "}:
        assert drawn(sign, font).any(), sign
        assert (drawn(sign, font) != box).any(), sign
    assert (drawn("a b", font) != drawn("ab", font)).any()


def test_words_of_ascii_stay_as_they_are():
    words, font = legible("Grad-CAM", 15)
    assert words == "Grad-CAM"
    assert font.getname()[0] == "Aileron"
    assert legible("Grad-CAM", 15)[1] is font


def test_a_sheet_writes_what_a_font_without_these_signs_could_not():
    picture = np.zeros((8, 8, 3), np.uint8)
    sheets = [
        attribution_pictures.contact_sheet([("Rollout", note, picture)]) for note in ("2.0×, 1\u00a0%", "2.0x, 1 %", "2.0\uffff, 1\uffff%")
    ]
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])
