from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from app_helpers import image_bytes, unpack

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.jobs import JobState
from vizlib.figures.colormaps import COLORMAP_NAMES, tables
from vizlib.figures.overlay import coloured
from vizlib.geometry import Geometry
from vizlib.ui.components.photo_map import MapData, pack
from vizlib.ui.core import formatting, model_service
from vizlib.ui.core.pictures import LONGEST, handed_in
from vizlib.ui.core.url_state import number, one_of, some_of
from vizlib.ui.widgets import method_options
from vizlib.zoo.cards import all_cards


def test_a_packed_map_comes_back():
    picture = handed_in("a.png", image_bytes((200, 100)))
    values = np.random.default_rng(1).random((8, 8))
    geometry = Geometry((100, 200), (8, 8), (8 / 100, 8 / 100), (0.0, -4.0))
    header, back, photo = unpack(pack(picture, MapData(values, 0.5, "share", geometry)))
    assert np.array_equal(back, values.astype("<f4"))
    assert (header["image"], header["shown"], photo.shape) == ([100, 200], [100, 200], (100, 200, 3))
    assert header["highest"] == pytest.approx(values.max() / 0.5)
    assert header["lowest"] == pytest.approx(values.min() / 0.5)


def test_padding_and_missing_values_do_not_set_the_scale():
    values = np.ones((4, 4))
    values[0], values[2, 2] = 9, np.nan
    geometry = Geometry((2, 4), (4, 4), (1.0, 1.0), (1.0, 0.0))
    data = MapData(values, 1.0, "share", geometry)
    assert (data.lowest, data.highest, data.peak) == (1.0, 1.0, 2.0)  # flat, so it looks flat: in the middle of the colours
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


def test_a_newer_question_replaces_a_stale_one():
    started, go = threading.Event(), threading.Event()

    def slow(model, progress):
        started.set()
        go.wait(20)
        progress.check()

    engine = model_service.ModelService()
    first = engine.run("me", "map", ["vit_tiny50"], slow)
    assert started.wait(60)
    second, third = (engine.run("me", "map", ["vit_tiny50"], lambda model, progress, target=target: target) for target in (2, 3))
    assert first.cancelled
    assert second.state is JobState.CANCELLED
    go.set()
    assert third.wait(20)
    assert third.state is JobState.DONE
    assert third.result() == 3
    assert first.state is JobState.CANCELLED


@dataclass
class Result:
    nbytes: int


def test_one_budget_holds_the_results_of_all_and_knows_their_models():
    engine = model_service.ModelService()
    opened = engine.open("own:1", lambda progress: vizlib.load("vit_tiny50", checkpoint="random"))
    assert opened.wait(60)
    calls = []

    def ask(slot, models, key, lane=None):
        def work(*loaded, progress):
            calls.append((slot, len(loaded)))
            return Result(100)

        job = engine.run("me", slot, models, work, key=key, lane=lane)
        assert job.wait(60)
        return job.result()

    both = ask("pair", ["vit_tiny50", "own:1"], "a")
    assert ask("elsewhere", ["vit_tiny50", "own:1"], "a") is both  # another page, the same question
    assert ask("pair", ["vit_tiny50"], "a") is not both
    assert ask("none", [], "a") is not ask("none", [], None)
    assert calls == [("pair", 2), ("pair", 1), ("none", 0), ("none", 0)]
    assert engine.dispatcher.results.info().bytes == 300
    engine.forget("own:1")
    assert not any("own:1" in models for models, _ in engine.dispatcher.results._held)
    assert engine.dispatcher.results.info().bytes == 200
    assert not engine.ready("own:1")
    gone = engine.run("me", "pair", ["own:1"], lambda model, progress: None)
    assert gone.wait(60)
    assert gone.state is JobState.CANCELLED


def test_work_without_vision_models_wakes_none_of_their_imports():
    engine, imported = model_service.ModelService(), []

    def note(progress):
        imported.append(progress)

    engine.wake(note)
    engine.wake(note)
    job = engine.run("me", "text", [], lambda progress: "read")
    assert job.wait(20)
    assert job.result() == "read"
    assert len(imported) == 1
    assert engine.awake
    assert list(engine._imports) == [note]


ODD = ["inf", "-inf", "nan", "1e400", "-1", "0", "1e9", "9" * 30, "", " ", "0x10", "١", "1_0", "None", "[]", "a" * 5000, "\x00", "½"]


@pytest.mark.parametrize("name", list(METHODS))
def test_no_value_of_an_option_in_a_link_is_more_than_refused(name):
    for option in METHODS[name].options:
        read = method_options._reader(option)
        for text in ODD:
            try:
                value = read(text)
            except ValueError:
                continue
            assert option.text or value in option.words or not isinstance(value, float) or np.isfinite(value)


@pytest.mark.parametrize("text", ODD)
def test_a_page_lives_with_any_token_in_its_link(explore, text):
    at = explore(models="vit_tiny50", vit_tiny50__method="rollout", vit_tiny50__token=text, vit_tiny50__target=text)
    assert not at.exception
