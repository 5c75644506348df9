"""What an audit shows as a whole, against numbers worked out by hand, and in memory that does not grow."""

from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from handmade_audit import handmade
from scipy import stats as scipy_stats

from vizlib.auditing.overview.api import overview
from vizlib.auditing.overview.map_agreement import maps_apart
from vizlib.auditing.summary import summaries
from vizlib.stats import mean_interval, wilson

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.auditing.result import Audit

NAMES = ("cat", "dog", "fox")


def one_cell(row: int, column: int, side: int = 4) -> np.ndarray:
    grid_map = np.zeros((side, side))
    grid_map[row, column] = 2.0
    return grid_map


def answered(label: int, answer: int, probability: float = 0.5, **more: Any) -> dict[str, Any]:
    return {
        "label": label, "label_name": NAMES[label], "prediction": answer, "predicted": NAMES[answer], "right": label == answer,
        "probability": probability, "evenness": 0.5, **more,
    }  # fmt: skip


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8, 0.2])
    low, high = mean_interval(values.sum(), (values**2).sum(), len(values))
    expected = scipy_stats.t.interval(0.95, 4, values.mean(), scipy_stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert all(math.isnan(end) for end in mean_interval(0.3, 0.09, 1))
    shares = np.array([0.01, 0.02, 0.9])  # of which Student's interval alone would begin below nothing and end above all
    assert mean_interval(shares.sum(), (shares**2).sum(), 3)[0] < 0
    assert mean_interval(shares.sum(), (shares**2).sum(), 3, within=(0.0, 1.0)) == (0.0, 1.0)


def test_maps_apart_by_hand() -> None:
    assert maps_apart(one_cell(0, 0) / 2, one_cell(0, 0) / 2) == 0
    assert maps_apart(one_cell(0, 0) / 2, one_cell(3, 3) / 2) == 1
    # On the coarser grid both lie in its first cell.
    assert maps_apart(one_cell(0, 0) / 2, one_cell(0, 0, 2) / 2) == 0
    assert maps_apart(np.full((2, 2), 0.25), one_cell(0, 0, 2) / 2) == pytest.approx(0.75)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Ten pictures of two classes: cats, twice taken for foxes, and dogs. Maps lie in a corner, of foxes in the other."""

    def make(picture: int, model: str, method: str) -> tuple[dict[str, Any], np.ndarray | None]:
        if picture == 9:
            return {"error": "It is torn."}, None
        label = picture % 2
        answer = 2 if picture in (2, 6) else label
        grid_map = one_cell(3, 3) if answer == 2 else one_cell(0, 0) if method == "rollout" else one_cell(0, 1)
        if model == "n":
            grid_map = one_cell(0, 0)
        boxes = {"region_share": 0.25 if picture == 4 else 0.75, "region_area": 0.5, "pointing": float(picture != 4)}
        return answered(label, answer, 0.5 + picture / 100, artifacts=picture if picture > 6 else 0, **boxes), grid_map

    return handmade(tmp_path_factory.mktemp("small") / "a", 10, make, models=("m", "n"), methods=("rollout", "saliency"))


def test_the_mean_map_of_a_class_and_its_accuracy(small: Audit) -> None:
    view = overview(small)
    cats = next(each for each in view.classes if (each.model, each.method, each.name) == ("m", "rollout", "cat"))
    assert (cats.pictures, cats.right) == (5, 3)
    assert cats.accuracy == pytest.approx((0.6, *wilson(3, 5)))
    expected = (3 * one_cell(0, 0) + 2 * one_cell(3, 3)) / 10
    assert cats.map.mean is not None
    np.testing.assert_allclose(cats.map.mean, expected, atol=1e-6)
    gains = [0.25, 0.25, -0.25, 0.25, 0.25]
    interval = scipy_stats.t.interval(0.95, 4, np.mean(gains), scipy_stats.sem(gains))
    assert cats.map.box_gain == pytest.approx((np.mean(gains), *interval))


def test_what_is_taken_for_what_and_where_it_looked(small: Audit) -> None:
    confusion = next(each for each in overview(small).confusions if (each.model, each.method) == ("m", "saliency"))
    assert (confusion.name, confusion.answer, confusion.count, confusion.of) == ("cat", "fox", 2, 5)
    assert confusion.mistaken.mean is not None
    assert confusion.right.mean is not None
    np.testing.assert_allclose(confusion.mistaken.mean, one_cell(3, 3) / 2, atol=1e-6)
    np.testing.assert_allclose(confusion.right.mean, one_cell(0, 1) / 2, atol=1e-6)
    assert confusion.right.pictures == 3


def test_methods_and_models_that_differ(small: Audit) -> None:
    view = overview(small)
    by_name = {(pair.kind, pair.of, pair.first, pair.second): pair for pair in view.agreements}
    methods = by_name["methods", "m", "rollout", "saliency"]
    distances = [0.0 if picture in (2, 6) else 1.0 for picture in range(9)]
    assert (methods.count, methods.mean) == (9, pytest.approx(np.mean(distances)))
    ends = np.clip(scipy_stats.t.interval(0.95, 8, np.mean(distances), scipy_stats.sem(distances)), 0, 1)  # distances do not go beyond
    assert methods.interval == pytest.approx(tuple(ends))
    models = by_name["models", "rollout", "m", "n"]
    assert models.mean == pytest.approx(2 / 9)
    row = next(picked.row for picked in view.table if picked.key == (2, "m", "rollout"))
    assert (row["methods_apart"], row["models_apart"]) == (0.0, 1.0)


def test_models_that_see_other_parts_of_a_picture_are_not_compared(tmp_path: Path) -> None:
    def make(picture: int, model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
        return answered(0, 0, seen_left=0 if model == "n" and picture else 10), one_cell(0, 0)

    view = overview(handmade(tmp_path / "a", 3, make, models=("m", "n")))
    assert (view.agreements[0].count, view.agreements[0].elsewhere) == (1, 2)


def test_presets_put_first_what_they_say(small: Audit) -> None:
    view = overview(small)

    def numbers(preset: str) -> list[int]:
        return [picked.row["picture"] for picked in view.first[preset, "m", "rollout"]]

    assert numbers("wrong_sure") == [6, 2]
    assert numbers("outside") == [4]
    assert numbers("artifacts") == [8, 7]
    assert numbers("methods_apart") == [0, 1, 3, 4, 5, 7, 8]
    assert numbers("models_apart") == [2, 6]
    assert view.matching["outside", "m", "rollout"] == 1
    assert view.right_with_region["m", "rollout"] == 7
    assert view.totals.failures[0] == ("9.png", "m", "rollout", "It is torn.")
    assert view.totals.failed == 4


def test_beyond_the_bounds_numbers_are_of_every_so_manieth_picture(tmp_path: Path) -> None:
    def make(picture: int, _model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
        return answered(0, int(picture in (101, 202)), 0.9), one_cell(0, 0)

    view = overview(handmade(tmp_path / "a", 400, make, chunk=64), table_rows=100, pictured=30)
    assert view.stride == 4
    assert [picked.row["picture"] for picked in view.first["wrong_sure", "m", "rollout"]] == [101, 202]
    kept = {picked.row["picture"] for picked in view.table}
    assert {*range(0, 400, 4), 101, 202} <= kept
    assert len(view.pictured) <= 4 * 7
    assert len(kept) <= 100 + len(view.pictured)


def test_heads_over_the_set(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    given: list[np.ndarray] = []

    def heads(_model: str, pictures: int) -> dict[str, np.ndarray]:
        distance = draw.random((pictures, 3)).astype(np.float32)
        given.append(distance)
        return {f"{measure}.blocks.{block}": distance + block for measure in ("distance", "entropy") for block in (10, 9)}

    view = overview(handmade(tmp_path / "a", 20, lambda *_: (answered(0, 0), one_cell(0, 0)), heads=heads))
    assert [site.site for site in view.heads] == ["blocks.9", "blocks.10"]
    values = np.concatenate(given) + 10
    np.testing.assert_allclose(view.heads[1].mean["distance"], values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(view.heads[1].deviation["entropy"], values.std(0), rtol=1e-3)
    assert view.heads[1].pictures == 20


def test_the_summary_has_the_interval_of_what_lies_on_the_object(small: Audit) -> None:
    summary = summaries(small)[0]
    gains = [-0.25 if picture == 4 else 0.25 for picture in range(9)]
    assert summary.mean("region_gain") == pytest.approx(np.mean(gains))
    assert summary.interval("region_gain") == pytest.approx(scipy_stats.t.interval(0.95, 8, np.mean(gains), scipy_stats.sem(gains)))
    assert summary.interval("right") == pytest.approx(wilson(7, 9))


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    def make(picture: int, _model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
        return answered(picture % 3, picture % 2, 0.3 + picture % 7 / 10), one_cell(picture % 4, 1)

    peaks = []
    for pictures in (512, 2048):
        audit = handmade(tmp_path / str(pictures), pictures, make, chunk=64)
        overview(audit, table_rows=200, pictured=60)  # imports and caches are none of it
        tracemalloc.start()
        overview(audit, table_rows=200, pictured=60)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]  # the names of the parts are all that grows
