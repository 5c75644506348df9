"""Odd answers, inputs and targets, and whether a call settles: with a result or a VizlibError in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import vizlib

if TYPE_CHECKING:
    from collections.abc import Callable

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
INPUTS: dict[str, Any] = {
    "a string": "no/such/file.png",
    "None": None,
    "a number": 3,
    "an empty list": [],
    "an empty batch": torch.zeros(0, 3, 32, 32),
    "integers": torch.zeros(3, 32, 32, dtype=torch.int64),
    "NaN": torch.full((3, 32, 32), float("nan")),
    "two dimensions": torch.zeros(32, 32),
    "five dimensions": torch.zeros(1, 1, 3, 32, 32),
    "no pixels": torch.zeros(3, 0, 32),
    "one pixel": torch.zeros(3, 1, 1),
    "channels last": torch.zeros(32, 32, 3),
    "complex": torch.zeros(3, 32, 32, dtype=torch.complex64),
    "meta": torch.zeros(3, 32, 32, device="meta"),
    "an object array": np.array([object()]),
    "bytes": b"no image",
    "a mapping": {"a": 1},
    "a mixed list": [torch.zeros(3, 32, 32), "no/such/file.png"],
    "sparse": torch.zeros(3, 32, 32).to_sparse(),
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
    assert sentence.endswith((".", "?"))
    assert len(sentence) < 600
    return False
