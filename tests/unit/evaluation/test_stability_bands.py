"""The bands of a map under noise, against making each map by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.engine.progress import told_to
from vizlib.evaluation.stability_bands import stability, top_area

MODEL, X = zoo.model("resnet"), zoo.inputs("resnet")


def test_the_highest_share_by_hand() -> None:
    values = np.array([[4.0, 3.0], [2.0, 1.0]])
    assert top_area(values, 0.5).tolist() == [[1, 1], [0, 0]]
    assert top_area(values, 0.4).tolist() == [[1, pytest.approx(0.6)], [0, 0]]
    tied = np.array([[5.0, 1.0], [1.0, 1.0]])
    assert top_area(tied, 0.5).tolist() == [[1, pytest.approx(1 / 3)], [pytest.approx(1 / 3)] * 2]
    assert top_area(np.zeros((5, 4)), 0.3) == pytest.approx(np.full((5, 4), 0.3))
    for share in (0.01, 0.2, 0.99):
        assert top_area(np.random.default_rng(0).random((9, 9)), share).sum() == pytest.approx(81 * share)


def test_the_bands_are_those_of_maps_made_one_by_one() -> None:
    found = vizlib.explain(MODEL, X[0], "integrated_gradients", 2, steps=4)
    bands = stability(MODEL, X, found, runs=5, radius=0.05, top=0.25, seed=3)
    generator, reach = torch.Generator().manual_seed(3), 0.05 * float(X.max() - X.min())
    noise = torch.cat([2 * torch.rand((count, *X.shape[1:]), generator=generator) - 1 for count in (4, 1)])
    assert float(noise.abs().max()) <= 1
    maps = np.stack([vizlib.explain(MODEL, (X + reach * one)[0], "integrated_gradients", 2, steps=4).input_map for one in noise])
    size = {"rtol": 0, "atol": 1e-5 * np.abs(maps).max()}
    np.testing.assert_allclose(bands.middle, maps.mean(0), **size)
    np.testing.assert_allclose(bands.low, np.quantile(maps, 0.1, axis=0), **size)
    np.testing.assert_allclose(bands.high, np.quantile(maps, 0.9, axis=0), **size)
    tops = [one >= np.sort(one, axis=None)[-256] for one in maps]
    mine = found.input_map >= np.sort(found.input_map, axis=None)[-256]
    np.testing.assert_allclose(bands.steady, np.mean(tops, 0), atol=0.21)  # two pixels on the edge may change places
    assert np.abs(bands.steady - np.mean(tops, 0)).mean() < 1e-3
    assert bands.overlap == pytest.approx(np.mean([(mine & one).sum() / (mine | one).sum() for one in tops]), abs=0.01)
    assert (bands.runs, bands.radius) == (5, 0.05)
    assert "25\u00a0%" in bands.definition


def test_without_noise_everything_stays_and_another_map_is_not_held() -> None:
    found = vizlib.explain(MODEL, X[0], "input_x_gradient", 1)
    bands = stability(MODEL, X, found, runs=3, radius=0)
    np.testing.assert_allclose(bands.low, bands.high, atol=1e-5 * np.abs(found.input_map).max())
    assert bands.overlap > 0.98
    assert stability(MODEL, X, replace(found, input_map=-found.input_map), runs=3, radius=0).overlap < 0.1
    assert bands.steady.mean() == pytest.approx(0.2, abs=1 / bands.steady.size)


@pytest.mark.parametrize(("method", "options"), [("patching", {"cells": 4}), ("occlusion", {"window": 0.25, "stride": 0.25})])
def test_a_region_that_is_on_the_edge_in_every_run_does_not_come_and_go(method: str, options: dict[str, float]) -> None:
    found = vizlib.explain(MODEL, X[0], method, 1, **options)
    assert 0 < (top_area(found.input_map, 0.2) % 1).max() < 1  # a fifth of the picture is no whole number of its regions
    bands = stability(MODEL, X, found, runs=3, radius=0)
    assert bands.overlap > 0.98
    assert set(np.unique(bands.steady)) == {0, 1}
    assert abs(bands.steady.mean() - 0.2) <= 1 / 8  # half of one region, of which there are four at least


def test_more_noise_moves_a_map_more_and_nothing_global_is_drawn() -> None:
    found = vizlib.explain(MODEL, X[0], "saliency", 1)
    before = torch.random.get_rng_state()
    calm, wild = (stability(MODEL, X, found, runs=4, radius=radius).overlap for radius in (0.005, 0.3))
    assert wild < calm
    assert torch.equal(before, torch.random.get_rng_state())
    assert stability(MODEL, X, found, runs=4, radius=0.3).overlap == wild
    assert stability(MODEL, X, found, runs=4, radius=0.3, seed=1).overlap != wild


def test_it_can_be_stopped_in_the_middle() -> None:
    told: list[float] = []

    def listener(done: float, total: float | None = None, message: str | None = None) -> None:
        told.append(done)
        if done > total / 2:
            raise vizlib.CancelledError("enough")

    found = vizlib.explain(MODEL, X[0], "occlusion", 1)
    with told_to(listener), pytest.raises(vizlib.CancelledError):
        stability(MODEL, X, found)
    assert told == sorted(told)
    assert len(told) > 2


def test_what_is_refused() -> None:
    found = vizlib.explain(MODEL, X[0], "saliency", 1)
    for wrong in ({"runs": 1}, {"top": 0}, {"top": 1}, {"radius": -0.1}, {"radius": float("nan")}):
        with pytest.raises(vizlib.MethodError, match="Stability takes"):
            stability(MODEL, X, found, **wrong)
    with pytest.raises(vizlib.MethodError, match="a function"):
        stability(MODEL, X, vizlib.explain(MODEL, X[0], "saliency", lambda logits: logits[:, 1]))
    with pytest.raises(vizlib.MethodError, match="not of VisionTransformer"):
        stability(zoo.model("token"), X, found)
    with pytest.raises(vizlib.MethodError, match="One image"):
        stability(MODEL, torch.cat([X, X]), found)
