"""Activation patching where it is known what carries the answer, and against patches put in by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from torch import nn
from traced_checks import filled

import vizlib

X = zoo.inputs("token")[0]


class OneCell(nn.Module):
    """Cells that never meet, of which the answer reads one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Conv2d(3, 12, 8, 8), nn.Conv2d(12, 12, 1), nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(x).tanh()).tanh()[:, :, 1, 2])


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)])
def test_one_token_alone_carries_the_answer(start: float, stop: float) -> None:
    module = filled(OneCell()).float()
    model = vizlib.wrap(module, input_size=32)
    explanation = vizlib.explain(model, X, "patching", 1, cells=4, start=start, stop=stop)
    change = float((module(X[None]) - module(torch.zeros(1, 3, 32, 32)))[0, 1].detach())
    expected = np.zeros((32, 32))
    expected[8:16, 16:24] = change
    assert abs(change) > 1e-3
    assert np.abs(explanation.input_map - expected).max() < 1e-6


def test_it_is_the_rise_by_patches_put_in_by_hand() -> None:
    model = zoo.model("token")
    explanation = vizlib.explain(model, X, "patching", 1, cells=2, start=0.34, stop=1.0)
    states: list[torch.Tensor] = []
    blocks = list(model.module.blocks)
    names = [tap.path for tap in model.adapter.taps((32, 32))]
    assert len(names) == 3
    empty = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        handles = [part.register_forward_hook(lambda part, inputs, output: states.append(output)) for part in blocks[1:]]
        model.module(X[None])
        for handle in handles:
            handle.remove()
        start = model.module(empty)[0, 1]
        region = [1 + 4 * row + column for row in (0, 1) for column in (2, 3)]

        def put(given: torch.Tensor):
            def hook(part: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
                output = output.clone()
                output[:, region] = given[:, region]
                return output

            return hook

        handles = [part.register_forward_hook(put(given)) for part, given in zip(blocks[1:], states, strict=True)]
        rise = float(model.module(empty)[0, 1] - start)
        for handle in handles:
            handle.remove()
    assert explanation.input_map[0, -1] == pytest.approx(rise, rel=1e-4)


@pytest.mark.parametrize("name", ["swin", "resnet", "cvt", "pvt"])
def test_batches_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vizlib.explainers.scorer import TargetScorer

    model, x = zoo.model(name), zoo.inputs(name)[0]
    whole = vizlib.explain(model, x, "patching", 1, cells=3, stop=0.6)
    monkeypatch.setattr(TargetScorer, "batch_size", lambda self, gradients: 2)
    apart = vizlib.explain(model, x, "patching", 1, cells=3, stop=0.6)
    assert whole.input_map.any()
    assert np.abs(whole.input_map - apart.input_map).max() < 1e-4 * np.abs(whole.input_map).max()


def test_progress_counts_every_pass() -> None:
    from vizlib.engine.progress import told_to

    heard: list[tuple[float, float | None]] = []
    with told_to(lambda completed, total=None, message=None: heard.append((completed, total))):
        vizlib.explain(zoo.model("token"), X, "patching", 1, cells=3)
    assert heard[-1] == (11, 11)


def test_a_range_without_layers_is_refused() -> None:
    with pytest.raises(vizlib.MethodError, match="start below stop"):
        vizlib.explain(zoo.model("token"), X, "patching", 1, start=0.8, stop=0.2)
