"""Noisy linear imputation against a dense solve and pictures whose answer is known, and ROAD against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluate import MODEL, X

import vizlib
from vizlib.evaluation.api import evaluate
from vizlib.evaluation.linear_imputation import noisy_linear_imputation
from vizlib.evaluation.protocol import ROAD_SHARES


def dense_imputation(values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The harmonic filling of ``values`` (C, h, w) under ``hidden`` (h, w): one equation for each pixel, neighbour by neighbour."""
    height, width = hidden.shape
    matrix, right = np.zeros((height * width, height * width)), np.zeros((height * width, len(values)))
    for row in range(height):
        for column in range(width):
            here = row * width + column
            if not hidden[row, column]:
                matrix[here, here], right[here] = 1, values[:, row, column]
                continue
            for down in (-1, 0, 1):
                for aside in (-1, 0, 1):
                    if (down or aside) and 0 <= row + down < height and 0 <= column + aside < width:
                        weight = 1 / 6 if down * aside == 0 else 1 / 12
                        matrix[here, here] += weight
                        matrix[here, here + down * width + aside] -= weight
    return np.linalg.solve(matrix, right).T.reshape(values.shape)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_solves_the_dense_system(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 3, 9, 13, generator=generator, dtype=torch.float64)
    hidden = torch.rand(2, 9, 13, generator=generator) < share
    hidden[1] = torch.arange(117).reshape(9, 13) < share * 117  # one hole, up to the border
    filled = noisy_linear_imputation(x, hidden, noise=0)
    for image, mask in zip(filled, hidden, strict=True):
        np.testing.assert_allclose(image.numpy(), dense_imputation(x[0].numpy(), mask.numpy()), atol=1e-12)


def test_a_slope_comes_back_and_what_is_seen_stays() -> None:
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(10.0), indexing="ij")
    x = torch.stack([2 * rows - columns, rows + columns, columns])[None].double()
    hidden = torch.zeros(1, 12, 10, dtype=torch.bool)
    hidden[:, 2:9, 3:8] = True
    torch.testing.assert_close(noisy_linear_imputation(x, hidden, noise=0), x)
    assert torch.equal(noisy_linear_imputation(x, hidden & False), x)
    noisy = noisy_linear_imputation(x, hidden, noise=0.01)
    assert torch.equal(noisy[:, :, ~hidden[0]], x[:, :, ~hidden[0]])
    change = (noisy - x)[:, :, hidden[0]]
    assert float(change.std()) == pytest.approx(0.01 * float(x.max() - x.min()), rel=0.2)
    assert torch.equal(noisy, noisy_linear_imputation(x, hidden, noise=0.01))
    assert not torch.equal(noisy, noisy_linear_imputation(x, hidden, noise=0.01, seed=1))


def test_road_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.evaluation.protocol.RANDOM_MAPS", 2)
    monkeypatch.setattr(noisy_linear_imputation, "__defaults__", (0.0, 0))
    true = vizlib.explain(MODEL, X[0], "input_x_gradient", 1)
    score = evaluate(MODEL, X, true, ["road"])["road"]
    order = np.argsort(-true.input_map.ravel(), kind="stable")
    # Where the map has ties (it is zero off both corners) their order is random, and no weight lies there: the answer is the same but for
    # what those neighbours give.
    falls = []
    for share in ROAD_SHARES:
        probabilities = []
        for gone in (order[::-1], order):
            hidden = np.zeros(1024, bool)
            hidden[gone[: round(share * 1024)]] = True
            image = torch.from_numpy(dense_imputation(X[0].double().numpy(), hidden.reshape(32, 32)))
            probabilities.append(float(MODEL(image[None].float()).detach().softmax(1)[0, 1]))
        falls.append(probabilities[0] - probabilities[1])
    assert score.value == pytest.approx(np.mean(falls), abs=0.02)
    assert score.low == score.value == score.high
    assert -1 <= score.value <= 1


def test_the_true_map_beats_maps_that_know_nothing_and_its_opposite_loses() -> None:
    true = vizlib.explain(MODEL, X[0], "input_x_gradient", 1)
    score = evaluate(MODEL, X, true, ["road"])["road"]
    assert score.good
    assert score.percentile == 100
    assert score.value > 0
    opposite = evaluate(MODEL, X, replace(true, input_map=-true.input_map), ["road"])["road"]
    assert not opposite.good
    assert opposite.percentile == 0
    assert opposite.value == pytest.approx(-score.value, abs=0.05)  # ties apart
