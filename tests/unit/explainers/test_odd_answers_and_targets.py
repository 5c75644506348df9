"""Whatever a module answers and whatever is asked of it, what comes is a result or a VizlibError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.analysis.logit_difference import explain_difference
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.region_score import region_score

if TYPE_CHECKING:
    from collections.abc import Callable

X = zoo.inputs("resnet", 2)
PICTURE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
REGION = np.arange(32)[:, None] + np.zeros(32) < 12

ANSWERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "logits": lambda scores: scores,
    "half precision": lambda scores: scores.half(),
    "many places": lambda scores: scores[:, :, None, None].expand(-1, -1, 2, 2),
    "one squeezed logit": lambda scores: scores[:, 0],
    "class numbers": lambda scores: scores.argmax(1),
    "whole numbers": lambda scores: (10 * scores).long(),
    "truth values": lambda scores: scores > 0,
    "nothing": lambda scores: None,
    "a word": lambda scores: "cat",
    "a tuple": lambda scores: (scores, scores),
    "a dictionary": lambda scores: {"answer": scores},
    "a list": lambda scores: [scores],
    "an array": lambda scores: scores.detach().numpy(),
    "one number for all": lambda scores: scores.sum(),
    "no columns": lambda scores: scores[:, :0],
    "too few rows": lambda scores: scores[:1],
    "too many rows": lambda scores: torch.cat([scores, scores]),
    "complex numbers": lambda scores: torch.complex(scores, scores),
    "a sparse matrix": lambda scores: scores.to_sparse(),
    "NaN": lambda scores: scores * float("nan"),
    "detached": lambda scores: scores.detach(),
}
TARGETS: list[Any] = [
    None, 1, -1, 7, 10**30, 1.5, float("nan"), True, "cat", "", b"cat", {}, {"a": 1}, {1}, object(), slice(1), range(2), iter([1, 2]),
    (), (0,), (0, 1), (0, 0), (None, 1), (1, "cat"), ((0, 1), (2, 3)), [], [1], [1, 2], [None, 2], [(0, 1), 2], [[1], [2]],
    [[1, 2], [3, 4]],
    [True, False], ["1", "2"], [1.0, 2.0], np.int64(2), np.float32(2), np.True_, np.array(3), np.array([1, 2]), np.array([1.0, 2.0]),
    np.array(["a", "b"]), np.zeros((2, 7), int), np.zeros(0), torch.tensor(1), torch.tensor(1.0), torch.tensor([1, 2]),
    torch.tensor([1.0, 2.0]), torch.tensor([True, False]), torch.tensor([[0, 1], [2, 3]]), torch.zeros(0), torch.zeros(2, 3, 4),
    lambda answer: answer.flatten(1)[:, 0], lambda answer: answer.sum(), lambda answer: answer,
    lambda answer: answer.detach().flatten(1)[:, 0],
    lambda answer: None, lambda answer: "cat", lambda answer: [1, 2], lambda answer: answer.flatten(1).argmax(1),
    [lambda answer: answer.flatten(1)[:, 0], 1], (lambda answer: answer, 1), nn.Identity(), print, len,
]  # fmt: skip
CALLS: dict[str, Callable[[vizlib.Model, Any], Any]] = {
    "saliency": lambda model, target: vizlib.explain(model, X, "saliency", target),
    "occlusion": lambda model, target: vizlib.explain(model, X[0], "occlusion", target, window=0.9, stride=0.9),
    "region": lambda model, target: region_score(model, X[0], REGION, target),
    "faithfulness": lambda model, target: FaithfulnessScorer(model, X[0], target),
    "difference": lambda model, target: explain_difference(model, model, PICTURE, target, steps=2),
}


class Answering(nn.Module):
    def __init__(self, answer: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.conv, self.relu, self.fc = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Linear(8, 7)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(self.fc(self.relu(self.conv(x)).mean((2, 3))))


def settles(call: Callable[[], Any]) -> bool:
    """Whether a call gives a result; its error must be one of vizlib's, in a sentence."""
    try:
        call()
    except vizlib.VizlibError as error:
        sentence = str(error)
    else:
        return True
    assert sentence.endswith(".")
    assert len(sentence) < 600
    return False


def model(kind: str) -> vizlib.Model:
    return vizlib.wrap(Answering(ANSWERS[kind]).eval(), input_size=32)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("call", CALLS)
def test_odd_answers(kind: str, call: str) -> None:
    for target in (None, 1, (0, 1), lambda answer: answer.flatten(1)[:, 0]):
        settles(lambda target=target: CALLS[call](model(kind), target))


@pytest.mark.parametrize("kind", ANSWERS)
def test_odd_answers_without_a_target(kind: str) -> None:
    readable = {"logits", "half precision", "one squeezed logit", "detached"}
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
