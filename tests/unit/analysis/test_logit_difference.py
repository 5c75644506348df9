"""The difference of two models on the pixels of one image, against captum, autograd through the whole way, and Pillow's own resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import vizlib
from vizlib.analysis.features.resampling import Resampling
from vizlib.analysis.logit_difference import explain_difference, integrated, same_classes
from vizlib.analysis.pixel_attribution import SETS, agreement
from vizlib.errors import MethodError, ModelError, TargetError
from vizlib.geometry import Transform

LABELS = ("a", "b", "c")


class Small(nn.Module):
    """A curved function of the whole input, so that its integral is no single gradient."""

    def __init__(self, size, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Linear(3 * size[0] * size[1], 8), nn.Linear(8, 3)
        self.num_classes = 3

    def forward(self, x):
        return self.second(torch.tanh(self.first(x.flatten(1))))


def small(size=(8, 8), seed=0, labels=LABELS, **transform):
    return vizlib.wrap(Small(size, seed).eval().double(), transform=Transform(size, **transform), labels=labels)


@pytest.fixture
def picture():
    y, x = np.mgrid[0:24, 0:36]
    smooth = 120 + 80 * np.sin(x / 5.0)[..., None] * np.cos(y / 4.0)[..., None] * np.array([1.0, 0.6, -0.8])
    return smooth.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos", "nearest"])
def test_the_way_to_the_input_is_the_models_own_up_to_rounding(picture, fit, interpolation):
    for size in ((8, 8), (16, 10), (40, 52)):
        model = small(size, interpolation=interpolation, crop_pct=0.8)
        found = Resampling.of(model, picture.shape[:2], fit)(torch.from_numpy(picture).permute(2, 0, 1) / 255)
        prepared = model.prepare(picture, fit)[0]
        # Pillow rounds to 8 bits after each of its two passes.
        assert float((found - prepared).abs().max()) <= 2.01 / 255 / 0.224


def test_a_long_strip_costs_no_square():
    model = small(interpolation="bicubic")
    strip = np.random.default_rng(0).integers(0, 255, (3, 60_000, 3), dtype=np.uint8)
    found = Resampling.of(model, strip.shape[:2])
    assert found.across.shape == (8, 60_000)
    near = found(torch.from_numpy(strip).permute(2, 0, 1) / 255) - model.prepare(strip)[0]
    assert float(near.abs().max()) <= 60 / 255 / 0.224  # noise overshoots, and is clipped
    assert float(near.abs().mean()) <= 4 / 255 / 0.224


def test_back_is_the_gradient(picture):
    way = Resampling.of(small((8, 8)), picture.shape[:2])
    image = (torch.from_numpy(picture).permute(2, 0, 1).double() / 255).requires_grad_()
    weights = torch.randn(3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((way(image) * weights).sum(), image)
    assert torch.allclose(way.back(weights), gradient)


@pytest.mark.parametrize("baseline", ["grey", "black"])
def test_is_captums_integral_through_the_whole_way(picture, baseline):
    from captum.attr import IntegratedGradients

    first, second = small((8, 8), 0), small((10, 6), 1, mean=(0.5, 0.5, 0.5), fit="squash")
    image = (torch.from_numpy(picture).permute(2, 0, 1).double() / 255)[None]
    ways = [Resampling.of(model, picture.shape[:2]) for model in (first, second)]

    def difference(batch):
        scores = [
            model.module(torch.stack([way(one) for one in batch])).log_softmax(1)[:, 2]
            for model, way in zip((first, second), ways, strict=True)
        ]
        return scores[0] - scores[1]

    start = torch.full_like(image, 0.5 if baseline == "grey" else 0.0)
    expected = IntegratedGradients(difference).attribute(image, start, n_steps=16, method="gausslegendre")[0].sum(0)
    found = explain_difference(first, second, picture, 2, baseline=baseline, steps=16)
    assert np.allclose(found.map, expected, atol=1e-9)
    assert found.score == pytest.approx(difference(image).item())
    assert found.base == pytest.approx(difference(start).item())
    assert found.label == "c"


def test_it_is_complete_and_says_how_nearly(picture):
    first, second = small((8, 8), 0), small((8, 8), 1)
    for model in (first, second):
        with torch.no_grad():
            model.module.first.weight.mul_(4)  # steep enough to need steps
    gaps = []
    for steps in (2, 8, 64):
        found = explain_difference(first, second, picture, 0, steps=steps)
        assert found.gap == pytest.approx(found.map.sum() - (found.score - found.base))
        gaps.append(abs(found.gap))
    assert gaps[2] < 1e-6 < gaps[0]
    same = explain_difference(first, first, picture, 0)
    assert np.allclose(same.map, 0)


def test_a_real_pair_of_models(picture):
    first, second = (vizlib.load(name, checkpoint="random") for name in ("vit_tiny50", "resnet_tiny50"))
    assert not same_classes(first, small())
    found = explain_difference(first, second, picture, 5, steps=8)
    assert found.map.shape == picture.shape[:2]
    assert np.isfinite(found.map).all()
    # What the crop cuts away on the left and the right has no say.
    assert np.allclose(found.map[:, :4], 0)
    assert all(parameter.grad is None for parameter in first.module.parameters())


def test_what_cannot_be_explained(picture):
    with pytest.raises(MethodError, match="different classes"):
        explain_difference(small(), small(labels=("a", "b", "d")), picture, 0)
    with pytest.raises(TargetError, match="0 to 2; the nearest to 3 is 2"):
        explain_difference(small(), small(seed=1), picture, 3)
    with pytest.raises(MethodError, match="no 'pink'"):
        integrated(small(), picture, 0, baseline="pink")
    with pytest.raises(ModelError, match="how its inputs are prepared"):
        integrated(vizlib.wrap(Small((8, 8), 0).eval()), picture, 0)


def test_sets_by_hand():
    first = np.arange(20.0).reshape(4, 5)
    second = np.full((4, 5), 1.0)
    second[3, 3], second[0, 0] = 5, 4
    codes = agreement(first, second, share=0.1)
    assert [SETS[code] for code in (codes[3, 3], codes[3, 4], codes[0, 0], codes[1, 1])] == [
        "both",
        "only the first",
        "only the second",
        "neither",
    ]
    assert (codes > 0).sum() == 3
    assert not (agreement(second * 0, first) == 1).any()
    hidden = first.copy()
    hidden[3] = np.nan
    codes = agreement(hidden, second, share=0.1)
    assert (codes[3] == -1).all()
    assert (codes[2] == [0, 0, 0, 2, 2]).all()
    with pytest.raises(MethodError, match="no common sets"):
        agreement(first, first[:2])
