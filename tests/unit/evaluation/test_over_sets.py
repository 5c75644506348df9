"""Scores over sets: the same as picture by picture, and leads against hand-worked and simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.errors import MethodError
from vizlib.evaluation.over_sets import SetScore, compare_methods, leads
from vizlib.evaluation.score import Score
from vizlib.stats import mean_bootstrap

RANDOM = np.random.default_rng(3)


def scored(values: np.ndarray, *, higher: bool = True) -> SetScore:
    return SetScore(tuple(Score(value, value, value, 99.0, 0.25, value > 0.5, higher, "") for value in values.tolist()))


def test_a_set_is_scored_as_its_pictures_are() -> None:
    model, x = zoo.model("resnet"), torch.randn(2, *zoo.inputs("resnet").shape[1:])
    explanations = vizlib.explain(model, x, "saliency", 1)
    found = vizlib.evaluate(model, x, explanations, ["sensitivity_n"])["sensitivity_n"]
    single = [vizlib.evaluate(model, image, vizlib.explain(model, image, "saliency", 1), ["sensitivity_n"])["sensitivity_n"] for image in x]
    assert found.values == pytest.approx([score.value for score in single], rel=1e-3)
    assert found.mean[0] == pytest.approx(np.mean([score.value for score in single]), rel=1e-3)
    assert found.ahead is not None
    assert found.ahead[0] == pytest.approx(np.mean([score.value - (score.gaussian or 0) for score in single]), rel=1e-3, abs=1e-4)
    with pytest.raises(MethodError, match="As many explanations as images"):
        vizlib.evaluate(model, x[:1], explanations, ["sensitivity_n"])


def test_a_set_score_by_hand() -> None:
    found = scored(np.array([0.2, 0.6, 1.0]), higher=False)
    assert found.mean[0] == pytest.approx(0.6)
    assert found.ahead is not None
    assert found.ahead[0] == pytest.approx(0.25 - 0.6)
    assert found.good is not None
    assert found.good[0] == pytest.approx(2 / 3)


def test_leads_hold_together_as_often_as_they_say() -> None:
    """Four methods that do not differ: in about one of twenty sets any of the six intervals may miss zero."""
    missed = 0
    for seed in range(40):
        values = np.random.default_rng(seed).normal(size=(4, 40))
        found = leads("insertion", {str(place): own for place, own in enumerate(values)}, higher=True)
        assert len(found) == 6
        missed += any(lead.told for lead in found)
    assert missed <= 7  # two are expected; as many as eight have a chance below 1 in 1,000


def test_pictures_that_one_method_lacks_are_left_out() -> None:
    values = {"a": np.array([1.0, 2.0, np.nan, 4.0]), "b": np.array([0.0, np.nan, 3.0, 1.0])}
    (lead,) = leads("insertion", values, higher=True)
    assert (lead.pictures, lead.mean) == (2, 2.0)
    (lead,) = leads("deletion", values, higher=False)
    assert lead.mean == -2.0


def test_methods_are_compared_on_as_many_pictures() -> None:
    a, b = scored(np.array([0.9, 0.8, 0.7])), scored(np.array([0.1, 0.2, 0.3]))
    (lead,) = compare_methods({"a": {"insertion": a}, "b": {"insertion": b}})
    assert (lead.first, lead.second, lead.pictures) == ("a", "b", 3)
    assert lead.mean == pytest.approx(0.6)
    with pytest.raises(MethodError, match="2 and 3"):
        compare_methods({"a": {"insertion": a}, "b": {"insertion": scored(np.array([0.1, 0.2]))}})


@pytest.mark.parametrize("count", [200, 20_001])
def test_the_bootstrap_of_a_mean_is_near_students(count: int) -> None:
    from scipy.stats import t

    values = RANDOM.normal(2, 3, count)
    low, high = mean_bootstrap(values, 0.99)
    half = t.ppf(0.995, count - 1) * values.std(ddof=1) / np.sqrt(count)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert np.isnan(mean_bootstrap(values[:1])).all()
