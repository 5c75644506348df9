from __future__ import annotations

import threading

import numpy as np
import pytest
from app_helpers import image_bytes, unpack

from vizlib.engine.jobs import JobState
from vizlib.figures.colormaps import COLORMAP_NAMES, tables
from vizlib.figures.overlay import coloured
from vizlib.geometry import Geometry
from vizlib.ui.components.photo_map import MapData, pack
from vizlib.ui.core import formatting, model_service
from vizlib.ui.core.pictures import LONGEST, handed_in
from vizlib.ui.core.url_state import number, one_of, some_of
from vizlib.zoo.cards import all_cards


def test_a_packed_map_comes_back():
    picture = handed_in("a.png", image_bytes((200, 100)))
    values = np.random.default_rng(1).random((8, 8))
    geometry = Geometry((100, 200), (8, 8), (8 / 100, 8 / 100), (0.0, -4.0))
    header, back, photo = unpack(pack(picture, MapData(values, 0.5, "share", geometry)))
    assert np.array_equal(back, values.astype("<f4"))
    assert (header["image"], header["shown"], photo.shape) == ([100, 200], [100, 200], (100, 200, 3))
    assert header["peak"] == pytest.approx(values.max() / 0.5)
    assert header["lowest"] == pytest.approx(values.min() / 0.5)


def test_padding_and_missing_values_do_not_set_the_scale():
    values = np.ones((4, 4))
    values[0], values[2, 2] = 9, np.nan
    geometry = Geometry((2, 4), (4, 4), (1.0, 1.0), (1.0, 0.0))
    data = MapData(values, 1.0, "share", geometry)
    assert (data.lowest, data.peak) == (1.0, 1.0)
    assert MapData(np.zeros((4, 4)), 0.0, "share", geometry).peak == 0.0


def test_large_pictures_are_shown_small():
    picture = handed_in("a.jpg", image_bytes((3000, 100), kind="JPEG"))
    assert picture.pixels.shape == (100, 3000, 3)
    assert picture.jpeg[1] == (30, LONGEST)


def test_the_browser_has_the_colours_of_the_files():
    ends = np.frombuffer(tables(), np.uint8).reshape(len(COLORMAP_NAMES), 256, 3)
    for name, table in zip(COLORMAP_NAMES, ends, strict=True):
        assert np.array_equal(table, coloured(np.arange(256.0)[None], name)[0])
        assert (np.diff(table @ [0.2126, 0.7152, 0.0722]) > -1).all()  # lightness rises


@pytest.mark.parametrize(
    ("read", "good", "value", "bad"),
    [
        (one_of(("a", "b")), "a", "a", "c"),
        (some_of(("a", "b"), 4), "b,x,a,b", ["b", "a"], "x"),
        (number(0, 1), "0.5", 0.5, "nan"),
        (number(0, 1), "1", 1.0, "2"),
    ],
)
def test_readers(read, good, value, bad):
    assert read(good) == value
    with pytest.raises(ValueError):  # noqa: PT011
        read(bad)


def test_words():
    assert formatting.percent(0.123) == "12\u00a0%"
    assert formatting.percent(0.0283) == "2.8\u00a0%"
    assert formatting.percent(0.0004) == "under 0.1\u00a0%"
    assert formatting.seconds(0.0942) == "94\u00a0ms"
    assert formatting.seconds(1.26) == "1.3\u00a0s"
    assert formatting.linked("A, B (2020), https://x.org/1") == "[A, B (2020)](https://x.org/1)"
    for card in all_cards().values():
        assert formatting.about(card)
        assert card.name in formatting.facts(card)


def test_a_newer_question_replaces_a_stale_one(monkeypatch):
    started, go = threading.Event(), threading.Event()

    def slow(self, request, picture, progress):
        started.set()
        go.wait(20)
        progress.check()

    monkeypatch.setattr(model_service.ModelService, "_explain", slow)
    monkeypatch.setattr(model_service, "_answer_bytes", lambda answer: 1)
    engine, picture = model_service.ModelService(), handed_in("a.png", image_bytes())
    ask = [model_service.ExplanationRequest(picture.identity, "vit_tiny50", "rollout", target, None, ()) for target in (1, 2, 3)]
    first = engine.ask("me", ask[0], picture)
    assert started.wait(20)
    second, third = engine.ask("me", ask[1], picture), engine.ask("me", ask[2], picture)
    assert first.cancelled
    assert second.state is JobState.CANCELLED
    monkeypatch.setattr(model_service.ModelService, "_explain", lambda self, request, picture, progress: request.target)
    go.set()
    assert third.wait(20)
    assert third.state is JobState.DONE
    assert first.state is JobState.CANCELLED
