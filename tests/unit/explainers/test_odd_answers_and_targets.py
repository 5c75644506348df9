"""Whatever a module answers and whatever is asked of it, what comes is a result or a VizlibError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zoo_cases as zoo
from odd_cases import ANSWERS, TARGETS, Answering, settles

import vizlib
from vizlib.analysis.logit_difference import explain_difference
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.region_score import region_score

if TYPE_CHECKING:
    from collections.abc import Callable

X = zoo.inputs("resnet", 2)
PICTURE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
REGION = np.arange(32)[:, None] + np.zeros(32) < 12

CALLS: dict[str, Callable[[vizlib.Model, Any], Any]] = {
    "saliency": lambda model, target: vizlib.explain(model, X, "saliency", target),
    "occlusion": lambda model, target: vizlib.explain(model, X[0], "occlusion", target, window=0.9, stride=0.9),
    "region": lambda model, target: region_score(model, X[0], REGION, target),
    "faithfulness": lambda model, target: FaithfulnessScorer(model, X[0], target),
    "difference": lambda model, target: explain_difference(model, model, PICTURE, target, steps=2),
}


def model(kind: str) -> vizlib.Model:
    return vizlib.wrap(Answering(ANSWERS[kind]).eval(), input_size=32)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("call", CALLS)
def test_odd_answers(kind: str, call: str) -> None:
    for target in (None, 1, (0, 1), lambda answer: answer.flatten(1)[:, 0]):
        settles(lambda target=target: CALLS[call](model(kind), target))


@pytest.mark.parametrize("kind", ANSWERS)
def test_odd_answers_without_a_target(kind: str) -> None:
    readable = {"logits", "half precision", "one squeezed logit", "detached", "a dictionary"}  # of one tensor alone
    assert settles(lambda: vizlib.predict(model(kind), X)) == (kind in readable)
    settles(lambda: vizlib.trace(model(kind), X))
    assert settles(lambda: model(kind)(X)) == (kind in {*readable, "NaN", "many places"})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["logits", "many places", "one squeezed logit"])
def test_odd_targets(kind: str, call: str) -> None:
    results = [settles(lambda target=target: CALLS[call](model(kind), target)) for target in TARGETS]
    if kind == "logits" and call == "saliency":
        accepted = [target for target, result in zip(TARGETS, results, strict=True) if result]
        assert 1 in accepted
        assert len(accepted) < len(TARGETS) / 2
