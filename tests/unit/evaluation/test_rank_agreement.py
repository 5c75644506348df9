"""Rank correlations against scipy's, and the common grid against counting pixels one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from scipy.stats import spearmanr

import vizlib
from vizlib.evaluation.rank_agreement import SIDE, agreement, common_grid, rank_correlation


def test_agreement_is_spearmans_with_ties() -> None:
    generator = np.random.default_rng(0)
    maps = [generator.standard_normal((9, 7)), generator.integers(0, 4, (9, 7)).astype(float), np.arange(63.0).reshape(9, 7)]
    maps.append(-(maps[2] ** 3))
    found = agreement(maps)
    for one in range(4):
        for other in range(4):
            assert found[one, other] == pytest.approx(spearmanr(maps[one].ravel(), maps[other].ravel()).statistic, abs=1e-12)
    assert np.array_equal(found, found.T)
    assert found.diagonal().tolist() == [1, 1, 1, 1]
    assert found[2, 3] == -1


def test_pixels_not_seen_do_not_count_and_a_constant_map_has_no_order() -> None:
    generator = np.random.default_rng(1)
    first, second, flat = generator.random((6, 6)), generator.random((6, 6)), np.full((6, 6), 2.0)
    first[:2], second[:, 5] = np.nan, np.nan
    found = agreement([first, second, flat])
    assert found[0, 1] == pytest.approx(spearmanr(first[2:, :5].ravel(), second[2:, :5].ravel()).statistic)
    assert np.isnan(found[2]).all()
    assert found[0, 0] == 1
    assert np.isnan(rank_correlation(first, np.full((6, 6), np.nan)))
    with pytest.raises(vizlib.MethodError, match="one grid"):
        agreement([first, flat[:3]])


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(90, 150), (31, 20)])
def test_the_common_grid_holds_the_mean_of_every_cells_pixels(fit: str, size: tuple[int, int]) -> None:
    picture = (np.random.default_rng(2).random((*size, 3)) * 255).astype(np.uint8)
    found = vizlib.explain(zoo.model("resnet"), picture, "input_x_gradient", 1, fit)
    (grid,) = common_grid([found])
    longest = max(size)
    assert grid.shape == (tuple(round(side * SIDE / longest) for side in size) if longest > SIDE else size)
    fine = np.where(found.seen, found.map.astype(np.float64), np.nan)
    # Every pixel cut into so many equal pieces along each side that cells are whole numbers of them.
    pieces = np.kron(fine, np.ones((grid.shape[0], grid.shape[1])))
    by_cell = pieces.reshape(grid.shape[0], size[0], grid.shape[1], size[1]).mean((1, 3))
    assert np.array_equal(np.isnan(grid), np.isnan(by_cell))
    assert np.isnan(grid).any() == (fit == "crop")
    np.testing.assert_allclose(grid, by_cell, atol=1e-6 * np.nanmax(np.abs(fine)))


def test_models_with_other_inputs_compare_and_other_pictures_do_not() -> None:
    picture = (np.random.default_rng(3).random((80, 80, 3)) * 255).astype(np.uint8)
    small, large = (vizlib.explain(zoo.model(name), picture, "occlusion", 1, stride=0.25) for name in ("resnet", "pvt_v2"))
    assert small.input_map.shape != large.input_map.shape
    grids = common_grid([small, large])
    assert {one.shape for one in grids} == {(64, 64)}
    assert np.isfinite(agreement(grids)).all()
    other = vizlib.explain(zoo.model("resnet"), torch.zeros(3, 32, 32), "saliency", 1)
    with pytest.raises(vizlib.MethodError, match="80 x 80"):
        common_grid([small, other])
