"""The axioms of attribution on a model that has a part nobody reads and two parts that count alike.

Completeness, symmetry, dummy and linearity as Sundararajan et al. (2017) and Lundberg and Lee (2017) have them.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

import vizlib
from vizlib.explainers.parts.baselines import baseline

SIDE = 16
HALF = SIDE // 2
PIECES = ("feature_ablation", "shapley_sampling", "kernel_shap")  # by superpixels: here the quarters of the picture
SLOPES = ("input_x_gradient", "integrated_gradients", "gradient_shap", "deeplift")
DRAWN = {"shapley_sampling": 0.06, "kernel_shap": 0.03}  # how far what is drawn at random may be off
OPTIONS = {
    "feature_ablation": {"pieces": 4},
    "shapley_sampling": {"pieces": 4, "orders": 200},
    "kernel_shap": {"pieces": 4, "samples": 1500},
    "lime": {"pieces": 4, "samples": 100},
    "integrated_gradients": {"steps": 400},
    "gradient_shap": {"samples": 8, "noise": 0.0},
    "occlusion": {"window": 0.5, "stride": 0.5},
}


class Quarters(nn.Module):
    """Rectified sums of the means of four quarters: the first two have the same weights, the last has none."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.act, self.head = nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            self.hidden.weight[:, 1] = self.hidden.weight[:, 0]
            self.hidden.weight[:, 3] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tiles = x.unflatten(2, (2, HALF)).unflatten(4, (2, HALF))
        return self.head(self.act(self.hidden(tiles.mean((1, 3, 5)).flatten(1))))


MODEL = vizlib.wrap(Quarters().eval().double(), input_size=(SIDE, SIDE))


def picture() -> torch.Tensor:
    """Four flat quarters; the colours of the first two have the same mean, and differ so that superpixels tell them apart."""
    x = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64)
    for row in (0, 1):
        for column in (0, 1):
            colour = torch.tensor([[1.5, 0.2, -0.4], [-0.4, 0.2, 1.5], [-1.2, 1.1, 0.6], [0.3, -1.4, 1.8]][2 * row + column])
            x[0, :, row * HALF : (row + 1) * HALF, column * HALF : (column + 1) * HALF] = colour[:, None, None]
    return x


def of(method: str, target=1) -> np.ndarray:
    """What each quarter has, (4,): the sum over its pixels, or the one value that a superpixel's pixels share."""
    input_map = vizlib.explain(MODEL, picture()[0], method, target, **OPTIONS.get(method, {})).input_map
    quarters = input_map.reshape(2, HALF, 2, HALF).transpose(0, 2, 1, 3).reshape(4, -1)
    if method in (*PIECES, "lime"):
        assert (quarters == quarters[:, :1]).all()
        return quarters[:, 0]
    return quarters.sum(1)


@pytest.mark.parametrize("method", [*PIECES, *SLOPES, "occlusion"])
def test_what_nobody_reads_has_no_share(method: str) -> None:
    shares = of(method)
    assert abs(shares[3]) <= (DRAWN[method] if method == "kernel_shap" else 1e-9) * np.abs(shares).max()
    assert np.abs(shares[:3]).max() > 0


@pytest.mark.parametrize("method", [*PIECES, *SLOPES, "occlusion"])
def test_what_counts_alike_has_the_same_share(method: str) -> None:
    shares = of(method)
    assert shares[0] == pytest.approx(shares[1], rel=2 * DRAWN.get(method, 1e-6))


@pytest.mark.parametrize("method", [*PIECES, *SLOPES, "occlusion", "lime"])
def test_a_sum_of_scores_has_the_sum_of_their_maps(method: str) -> None:
    of_sum = of(method, lambda logits: 2 * logits[:, 1] - 0.5 * logits[:, 2])
    expected = 2 * of(method, 1) - 0.5 * of(method, 2)
    assert of_sum == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", ["integrated_gradients", "deeplift", "shapley_sampling", "kernel_shap"])
def test_shares_add_up_to_the_change_of_the_score(method: str) -> None:
    explanation = vizlib.explain(MODEL, picture()[0], method, 1, **OPTIONS.get(method, {}))
    assert explanation.facts["sum"] == pytest.approx(explanation.facts["change"], rel=5e-3)
    assert explanation.facts["sum"] == pytest.approx(of(method).sum())


@pytest.mark.parametrize("method", DRAWN)
def test_shapley_values_of_the_quarters_are_those_of_all_orders(method: str) -> None:
    """All 24 orders by hand, each quarter's colour against the mean colour that stands for nothing."""
    x, empty = picture(), baseline(MODEL, picture(), "mean")
    expected = np.zeros(4)
    for order in permutations(range(4)):
        shown = empty.clone()
        for part in order:
            before = float(MODEL(shown)[0, 1].detach())
            row, column = divmod(part, 2)
            where = (..., slice(row * HALF, (row + 1) * HALF), slice(column * HALF, (column + 1) * HALF))
            shown[where] = x[where]
            expected[part] += (float(MODEL(shown)[0, 1].detach()) - before) / 24
    assert of(method) == pytest.approx(expected, abs=DRAWN[method] * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["mean", "black", "blur", "colour"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_integrated_gradients_add_up_by_default(kind: str, scale: float) -> None:
    """On a trained network, whose gradient turns often on the way: the sum by plain forward passes, or a note that names a number."""
    model = vizlib.load("resnet_tiny50")
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * scale
    for x, explanation in zip(images, vizlib.explain(model, images, "integrated_gradients", 7, baseline=kind), strict=True):
        with torch.no_grad():
            change = float(model(x[None])[0, 7] - model(baseline(model, x[None], kind))[0, 7])
        off = abs(explanation.input_map.sum() - change) / abs(change)
        assert off <= 0.0501 or any("take steps=" in note for note in explanation.notes)
        few = vizlib.explain(model, x, "integrated_gradients", 7, baseline=kind, steps=2, max_gap=1)
        assert few.facts["steps"] == 2
        assert explanation.facts["steps"] >= 32
        assert off <= few.facts["gap"] + 0.05
        enough = vizlib.explain(model, x, "integrated_gradients", 7, baseline=kind, steps=2)
        assert enough.facts["gap"] <= 0.05 or enough.facts["steps"] == 256
