"""Comparisons with the control maps are decided early, and as the complete curves decide them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.evaluation import protocol
from vizlib.evaluation.control_curves import ControlCurves
from vizlib.evaluation.deletion_insertion import area, pixel_ranks
from vizlib.evaluation.faithfulness import FaithfulnessScorer

MAPS = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0))


class Answers:
    """A probability that falls as the first pixels turn to zero, and how many images it was asked for."""

    def __init__(self) -> None:
        self.images = 0
        self.weight = torch.linspace(1, 0, 64).reshape(8, 8) ** 3

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.images += len(images)
        return ((images[:, 0] * self.weight).sum((1, 2)) / self.weight.sum()).double()


def curves_of(answers: Answers, insert: bool) -> ControlCurves:
    x, black = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    return ControlCurves(answers, x, [black, black + 0.05], pixel_ranks(MAPS), 16, 5, insert=insert)


@pytest.mark.parametrize("insert", [False, True])
def test_every_comparison_is_decided_as_by_the_complete_curves(insert: bool) -> None:
    areas = area(curves_of(Answers(), insert).completed()).mean(0)
    spread = float(areas.max() - areas.min())
    values = np.linspace(float(areas.min()) - 0.2, float(areas.max()) + 0.2, 41).tolist()
    # On the very area, and so near that only the complete curve can tell.
    values += [float(value) + shift * spread for value in areas for shift in (-1e-3, 0.0, 1e-3)]
    for value in values:
        worse = curves_of(Answers(), insert).worse_than(value, range(len(MAPS)))
        assert worse.tolist() == (areas < value if insert else areas > value).tolist(), value


@pytest.mark.parametrize("insert", [False, True])
def test_what_is_far_apart_takes_few_images_and_nothing_is_measured_twice(insert: bool) -> None:
    answers = Answers()
    curves = curves_of(answers, insert)
    full = 2 * (len(MAPS) * 15 + 2)
    assert answers.images == 4
    assert curves.worse_than(0.9 if insert else 0.1, range(len(MAPS))).all()
    assert answers.images < 0.5 * full
    assert curves.missing() == full - answers.images
    assert not curves.complete
    curves.worse_than(float(area(curves_of(Answers(), insert).completed()).mean()), range(len(MAPS)))
    curves.completed()
    assert curves.complete
    assert answers.images == full
    curves.worse_than(0.5, range(len(MAPS)))
    assert answers.images == full


@cache
def _scorer(name: str) -> FaithfulnessScorer:
    return FaithfulnessScorer(zoo.model(name), zoo.inputs(name)[:1])


@pytest.mark.parametrize("method", ["grad_cam", "saliency", "input_x_gradient", "occlusion"])
@pytest.mark.parametrize("metric", ["deletion", "insertion"])
def test_scores_of_models_are_those_of_the_complete_curves(method: str, metric: str) -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")[:1]
    explanation = vizlib.explain(model, x[0], method)
    score = FaithfulnessScorer(model, x).score(explanation, [metric])[metric]
    material = _scorer("resnet").material
    with torch.no_grad():
        controls = area(material.removal_curves(material.control_maps, insert=metric == "insertion")).mean(0)
    random, gaussian = controls[1:], float(controls[0])
    assert score.gaussian == pytest.approx(gaussian, abs=1e-6)
    worse = (random < score.value) if score.higher else (random > score.value)
    assert score.percentile == 100 * float(worse.double().mean())
    assert len(random) == protocol.RANDOM_MAPS
    ahead = score.value > score.gaussian if score.higher else score.value < score.gaussian
    assert score.good == (score.percentile >= protocol.SURE and ahead)
