"""What a region carries, against one picture at a time, and on a model where it can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.evaluation.region_score import region_score
from vizlib.explainers.parts.baselines import baseline


class Linear(nn.Module):
    """The score of class 1 is a weighted sum of the input; class 0 stays at zero."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0, 0.01, 3 * 16 * 24).reshape(3, 16, 24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (self.weight * x).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


MODEL = vizlib.wrap(Linear().eval(), input_size=(16, 24))
X = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
REGION = np.zeros((16, 24), bool)
REGION[2:9, 5:20] = True


@pytest.mark.parametrize("target", [2, (4, 1)])
def test_against_one_picture_at_a_time(target: int | tuple[int, int]) -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    region = np.random.default_rng(0).random((32, 32)) < 0.3
    found = region_score(model, x, region, target)
    inside, rows = torch.from_numpy(region), []
    for kind in ("mean", "blur", "colour"):
        empty = baseline(model, x, kind)
        kept, hidden = empty.clone(), x.clone()
        kept[:, :, inside], hidden[:, :, inside] = x[:, :, inside], empty[:, :, inside]
        for image in (x, kept, hidden, empty):
            with torch.no_grad():
                logits = model(image)[0].double()
            if isinstance(target, tuple):
                score = logits[target[0]] - logits[target[1]]
                rows.append((float(score), float(score.sigmoid())))
            else:
                rows.append((float(logits[target]), float(logits.softmax(0)[target])))
    scores, chances = np.array(rows).reshape(3, 4, 2).transpose(2, 1, 0)
    for got, by_hand in zip((found.whole, found.kept, found.hidden, found.empty), chances, strict=True):
        assert got == pytest.approx((by_hand.mean(), by_hand.min(), by_hand.max()), abs=1e-6)
    whole, kept, hidden, empty = scores.mean(1)
    if whole > empty:
        assert found.brings == pytest.approx((kept - empty) / (whole - empty), rel=1e-3)
        assert found.loses == pytest.approx((whole - hidden) / (whole - empty), rel=1e-3)
    else:
        assert math.isnan(found.brings)
        assert math.isnan(found.loses)
    assert found.area == pytest.approx(region.mean())


def test_in_a_sum_a_region_brings_what_it_loses() -> None:
    found = region_score(MODEL, X, REGION, 1, baselines=("mean",))  # which is zero
    evidence = (MODEL.module.weight.detach() * X[0]).sum(0).numpy()
    share = evidence[REGION].sum() / evidence.sum()
    assert (found.brings, found.loses) == pytest.approx((share, share), abs=1e-5)
    assert found.empty == (0.5, 0.5, 0.5)
    assert "mean colour" in found.definition


@pytest.mark.parametrize(("everything", "share"), [(True, 1), (False, 0)])
def test_all_of_the_picture_carries_all_and_nothing_carries_nothing(everything: bool, share: float) -> None:
    found = region_score(MODEL, X, np.full((16, 24), everything), 1)
    assert (found.brings, found.loses, found.area) == pytest.approx((share, share, share), abs=1e-5)


def test_no_share_of_a_score_that_does_not_rise() -> None:
    found = region_score(MODEL, -X, REGION, 1, baselines=("mean",))
    assert math.isnan(found.brings)
    assert math.isnan(found.loses)
    assert found.whole[0] < found.empty[0]


def test_a_region_on_the_image_is_the_one_on_the_input_that_it_covers() -> None:
    model = vizlib.wrap(zoo.model("resnet").module, input_size=(32, 32))
    picture = (np.random.default_rng(1).random((128, 128, 3)) * 255).astype(np.uint8)
    on_input = np.zeros((32, 32), bool)
    on_input[4:20, 8:30] = True
    fit = "squash"
    wide = np.kron(on_input, np.ones((4, 4), bool))
    assert region_score(model, picture, wide, 2, fit) == region_score(model, picture, on_input, 2, fit)
    # Padding belongs to no region: of a picture twice as wide as high the input shows half.
    assert region_score(model, picture[:64], np.ones((64, 128), bool), 2, "pad").area == pytest.approx(0.5)


def test_the_model_stays_as_it_was_and_the_top_class_is_asked_for_by_default() -> None:
    model, x = zoo.model("token"), zoo.inputs("token")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    region = np.zeros((32, 32), bool)
    region[:16] = True
    assert region_score(model, x, region) == region_score(model, x, region, int(model(x).argmax()))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())


def test_what_is_refused() -> None:
    with pytest.raises(vizlib.MethodError, match="array of bool"):
        region_score(MODEL, X, REGION.astype(float), 1)
    with pytest.raises(vizlib.MethodError, match="on the input"):
        region_score(MODEL, X, REGION[:5], 1)
    with pytest.raises(vizlib.MethodError, match="at least one baseline"):
        region_score(MODEL, X, REGION, 1, baselines=())
    with pytest.raises(vizlib.MethodError, match="no class"):
        region_score(MODEL, X, REGION, lambda logits: logits[:, 1])
    with pytest.raises(vizlib.TargetError):
        region_score(MODEL, X, REGION, 5)
