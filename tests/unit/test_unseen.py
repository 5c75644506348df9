"""What a model did not see is drawn alike, in files and in the browser."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from vizlib.figures import overlay as drawing
from vizlib.figures.overlay import overlay, signed_overlay
from vizlib.figures.signed_overlay import between_overlay, set_overlay

COMPONENTS = Path(drawing.__file__).parents[1] / "ui/components"
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
VALUES = np.where(np.arange(60) < 20, np.nan, np.linspace(-1, 1, 60)) * np.ones((40, 1))


@pytest.mark.parametrize(
    "drawn",
    [
        overlay(IMAGE, VALUES),
        signed_overlay(IMAGE, VALUES),
        between_overlay(IMAGE, VALUES, 1.0),
        set_overlay(IMAGE, np.where(np.isnan(VALUES), -1, 1).astype(np.int8)),
    ],
    ids=["overlay", "signed", "between", "sets"],
)
def test_every_picture_has_the_same_hatching(drawn):
    unseen = drawn[:, :20].astype(float)
    assert (np.ptp(unseen, axis=2) == 0).all()  # grey
    grey = 0.4 * cv2.cvtColor(IMAGE, cv2.COLOR_RGB2GRAY)[:, :20]
    dark, light = np.abs(unseen[..., 0] - 0.65 * grey) <= 0.5, np.abs(unseen[..., 0] - (0.9 * grey + 25.5)) <= 0.5
    assert (dark | light).all()
    assert (dark & ~light).mean() == pytest.approx(5 / 7, abs=0.06)
    assert (np.ptp(drawn[:, 20:].astype(float), axis=2) > 0).mean() > 0.3  # what was seen is not touched


def test_nothing_unseen_changes_nothing():
    assert np.array_equal(overlay(IMAGE, np.nan_to_num(VALUES), opacity=0), IMAGE)


def test_the_browser_draws_the_same():
    sheets = {path: path.read_text(encoding="utf-8") for path in COMPONENTS.rglob("*.css")}
    (style,) = [text for text in sheets.values() if re.search(r"\.unseen\b", text)]
    assert f"grayscale(1) brightness({drawing.UNSEEN_BRIGHTNESS})" in style
    dark, light, stripe, period = drawing.UNSEEN_DARK, drawing.UNSEEN_LIGHT, drawing.UNSEEN_STRIPE, drawing.UNSEEN_PERIOD
    assert f"45deg, rgb(0 0 0 / {dark}) 0 {stripe}px, rgb(255 255 255 / {light}) {stripe}px {period}px" in style
    for path in COMPONENTS.rglob("*.html"):
        if "unseen" in path.read_text(encoding="utf-8"):
            assert "@import '../_lib/unseen.css'" in sheets[path.with_suffix(".css")], path
