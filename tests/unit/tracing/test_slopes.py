"""Gradients behind batch norms against those of the formulas in torch's plain arithmetic, which autograd differentiates rightly."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from torch import nn
from torch.utils.checkpoint import checkpoint

import vizlib
from vizlib.tracing.slopes import slope_at, slopes_at

CHANNELS = 6
GENERATOR = torch.Generator().manual_seed(0)
MEAN, VARIANCE = torch.arange(6).double() / 6, 1 + torch.arange(6).double()
WEIGHT, BIAS = torch.randn(2, CHANNELS, generator=GENERATOR).double()
STILL = (False, 0.1, 1e-5, True)  # by running statistics, the momentum, epsilon


def column(values: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, 1, 1)


def frozen(x: torch.Tensor) -> torch.Tensor:
    return (x - column(MEAN)) / column(VARIANCE + 1e-5).sqrt() * column(WEIGHT) + column(BIAS)


def measured(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + 1e-5).sqrt() * column(WEIGHT) + column(BIAS)


# Each norm as torch computes it, and its formula.
NORMS = {
    "functional": (lambda x: F.batch_norm(x, MEAN, VARIANCE, WEIGHT, BIAS), frozen),
    "direct": (lambda x: torch.batch_norm(x, WEIGHT, BIAS, MEAN, VARIANCE, *STILL), frozen),
    "exported": (lambda x: torch.ops.aten.batch_norm.default(x, WEIGHT, BIAS, MEAN, VARIANCE, *STILL), frozen),
    "decomposed": (
        lambda x: torch.ops.aten._native_batch_norm_legit_no_training.default(x, WEIGHT, BIAS, MEAN, VARIANCE, *STILL[1:3])[0],
        frozen,
    ),
    "of the batch": (lambda x: F.batch_norm(x, None, None, WEIGHT, BIAS, training=True), lambda x: measured(x, (0, 2, 3))),
    "of each image": (lambda x: F.instance_norm(x, weight=WEIGHT, bias=BIAS), lambda x: measured(x, (2, 3))),
}
LAYOUTS = {
    "a sliced row of tokens": lambda maps: torch.cat([maps.new_zeros(len(maps), 1, CHANNELS), maps.flatten(2).mT], 1)[:, 1:]
    .mT.unflatten(2, maps.shape[2:]),
    "tokens": lambda maps: maps.contiguous(memory_format=torch.channels_last),
    "channels": lambda maps: maps.contiguous(),
}  # fmt: skip


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("behind", LAYOUTS)
@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_has_the_gradient_of_its_formula(norm: str, behind: str, layout: str, images: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x, gradient = torch.randn(2, images, CHANNELS, 2, 3, generator=generator).double()
    run, formula = NORMS[norm]
    (expected,) = torch.autograd.grad(formula(leaf := x.clone().requires_grad_()), leaf, gradient)
    leaf = LAYOUTS[layout](x).detach().requires_grad_()
    output = run(leaf)
    # The gradient that reaches the norm is laid out as the weights that its output is multiplied with.
    found = slope_at((output * LAYOUTS[behind](gradient)).sum(), leaf)
    assert torch.allclose(found, expected, atol=1e-12)


class Tokens(nn.Module):
    """Maps of tokens, normed and read as one row: one image's gradient comes back laid out otherwise than the maps."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.norm = nn.Conv2d(3, CHANNELS, 4, 4), nn.Linear(CHANNELS, CHANNELS), nn.BatchNorm2d(CHANNELS)
        self.head = nn.Linear(CHANNELS * 64, 5)
        generator = torch.Generator().manual_seed(3)
        for name, tensor in self.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - (0.0 if name == "norm.running_var" else 0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.normed(self.mix(self.stem(x).flatten(2).transpose(1, 2))))

    def normed(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.norm(tokens.transpose(1, 2).unflatten(2, (8, 8))).flatten(1)) ** 2


class Checkpointed(Tokens):
    """The same, which computes the norm again on the way back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(checkpoint(self.normed, self.mix(self.stem(x).flatten(2).transpose(1, 2)), use_reentrant=False))


@pytest.mark.parametrize("packed", ["as it is", "checkpointed", "traced", "scripted", "exported", "compiled"])
def test_a_network_is_explained_alike_however_it_was_packed(packed: str) -> None:
    module, x = Tokens().double().eval(), torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)).double()
    ways = {
        "as it is": lambda: module,
        "checkpointed": lambda: Checkpointed().double().eval(),
        "compiled": lambda: torch.compile(module, backend="aot_eager"),
        "traced": lambda: torch.jit.trace(module, x),
        "scripted": lambda: torch.jit.script(module),
        "exported": lambda: torch.export.export(module, (x,)).module(),
    }
    model = vizlib.wrap(ways[packed](), input_size=(32, 32))
    for _ in range(3):  # TorchScript computes its third pass otherwise than its first
        found = vizlib.explain(model, x[0], "input_x_gradient", 1).input_map
    for row, column_ in ((3, 4), (17, 20), (30, 1)):
        assert np.isclose(found[row, column_], zoo.slope_along(module, x, row, column_), rtol=1e-5, atol=1e-8)


def test_a_scripted_network_that_overflows_says_so() -> None:
    module = Tokens().eval()
    module.head.weight.data[0, 0] = torch.nan
    model = vizlib.wrap(torch.jit.script(module), input_size=(32, 32))
    with pytest.raises(vizlib.ModelError, match="NaN or infinity, first in its TorchScript"):
        vizlib.explain(model, torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(2)), "saliency", 1)


def test_nothing_stays_in_a_graph_that_is_read_again() -> None:
    x = LAYOUTS["tokens"](torch.randn(1, CHANNELS, 2, 3, generator=GENERATOR).double()).requires_grad_()
    score = (F.batch_norm(x, MEAN, VARIANCE) * torch.arange(36).view(1, CHANNELS, 2, 3)).sum()
    first, again = (slopes_at(score, [x, WEIGHT.clone().requires_grad_()], keep_graph=True) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert first[1] is None


def test_no_gradient_is_taken_past_it() -> None:
    package = Path(vizlib.__file__).parent
    # What trains, models without images, the benchmark's bare pass, and slopes of one function of one number.
    others = {"tracing/slopes.py", "seq2seq/length_study.py", "bench/workloads.py", "explainers/parts/activation_rules.py",
              "passes/balanced_functions.py"}  # fmt: skip
    taken = {str(file.relative_to(package)) for file in package.rglob("*.py") if re.search(r"autograd\.grad\(", file.read_text("utf-8"))}
    assert taken == others
