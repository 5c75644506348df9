"""Guided backpropagation and DeepLIFT: the rule holds at every call of an activation, however it is written, or the method refuses."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

import vizlib
from vizlib.explainers.parts.activation_rules import _is_relu

X = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """Two convolutions with an activation after each, and a ReLU as a part that says which rules fit."""

    def __init__(self, first=None, second=None) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 16, 3, 2), nn.Linear(16, 5)
        self.r, self.r2 = nn.ReLU(), nn.ReLU()
        self.first, self.second = first or self.r, second or self.r2
        self.pool = nn.MaxPool2d(3, 2, 1)
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)

    def forward(self, x):
        return self.fc(self.second(self.b(self.pool(self.first(self.a(x))))).mean((2, 3)))


def explain(module: nn.Module, method: str, **options) -> vizlib.Explanation:
    return vizlib.explain(vizlib.wrap(module.eval(), input_size=32), X[0], method, 2, **options)


RELUS = {
    "functional": F.relu,
    "in place": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place, result dropped": lambda x: (x.relu_(), x)[1],
    "clamp": lambda x: x.clamp(min=0),
    "clamp by place": lambda x: torch.clamp(x, 0),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "clamp_ in place": lambda x: x.clamp_(min=0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "named": lambda x: torch.relu(input=x),
}


def guided_by_hand(net: Net, x: torch.Tensor) -> np.ndarray:
    """Layer by layer, each ReLU's gradient cut by its output and by its sign."""
    x = x.clone().requires_grad_()
    before = net.a(x)
    after = before.detach().relu().requires_grad_()
    second = net.b(net.pool(after))
    top = second.detach().relu().requires_grad_()
    (slope,) = torch.autograd.grad(net.fc(top.mean((2, 3)))[:, 2].sum(), top)
    (slope,) = torch.autograd.grad(second, after, slope.clamp_min(0) * (second > 0))
    (slope,) = torch.autograd.grad(before, x, slope.clamp_min(0) * (before > 0))
    return slope.sum(1)[0].numpy()


@pytest.mark.parametrize("second", RELUS.values(), ids=RELUS)
def test_guided_backprop_at_every_way_to_write_a_relu(second) -> None:
    net = Net(second=second)
    expected = guided_by_hand(net, X)
    assert np.allclose(explain(net, "guided_backprop").input_map, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("second", RELUS.values(), ids=RELUS)
def test_guided_grad_cam_is_both_maps_multiplied(second) -> None:
    net = Net(second=second)
    net.feature_info = [{"module": "a", "num_chs": 8, "reduction": 2}]
    cam, guided = explain(net, "grad_cam").input_map, guided_by_hand(net, X)
    assert np.abs(cam).max() > 0
    assert np.allclose(explain(net, "guided_grad_cam").input_map, cam * guided, atol=1e-6 * np.abs(cam * guided).max())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["guided_backprop", "deeplift"])
def test_as_captum_has_it_where_every_activation_is_a_part(method: str) -> None:
    from captum.attr import DeepLift, GuidedBackprop

    net = Net()
    net.pool = nn.AvgPool2d(2)  # captum's rule for a max-pool after a ReLU does not add up
    score = copy.deepcopy(net).eval()
    if method == "deeplift":
        expected = DeepLift(score).attribute(X.clone(), baselines=torch.zeros_like(X), target=2)
    else:
        expected = GuidedBackprop(score).attribute(X.clone().requires_grad_(), target=2)
    expected = expected.sum(1)[0].detach().numpy()
    assert np.allclose(explain(net, method).input_map, expected, atol=2e-6 * np.abs(expected).max())


ACTIVATIONS = {
    "gelu": F.gelu, "silu": F.silu, "leaky": lambda x: F.leaky_relu(x, 0.2), "tanh": torch.tanh, "sigmoid": torch.Tensor.sigmoid,
    "softplus": F.softplus, "relu6": F.relu6, "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.5, inplace=True),
    "elu in place": lambda x: F.elu_(x),
    "clamp": lambda x: x.clamp(-1, 1), **RELUS,
}  # fmt: skip


@pytest.mark.parametrize("first", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_deeplift_at_every_call(first) -> None:
    net = Net(first=first, second=F.relu)
    explanation = explain(net, "deeplift", baseline="colour")
    empty = X.mean((2, 3), keepdim=True).expand_as(X).clone()
    with torch.no_grad():
        change = float((net(X) - net(empty))[0, 2])
    assert explanation.input_map.sum() == pytest.approx(change, rel=1e-4)
    assert np.allclose(explanation.input_map, rescaled_by_hand(net, first, X, empty), atol=1e-5 * np.abs(explanation.input_map).max())


def rescaled_by_hand(net: Net, first, x: torch.Tensor, empty: torch.Tensor) -> np.ndarray:
    """DeepLIFT's multipliers layer by layer, the max-pool cell by cell."""
    with torch.no_grad():
        before, low = net.a(x), net.a(empty)
        after, low_after = first(before.clone()), first(low.clone())
        second, low_second = net.b(net.pool(after)), net.b(net.pool(low_after))
    top = (second.relu() - low_second.relu()) / (second - low_second)
    pooled = net.pool(after).detach().requires_grad_()
    (slope,) = torch.autograd.grad(net.b(pooled), pooled, net.fc.weight[2].reshape(1, -1, 1, 1) / second[0, 0].numel() * top)
    contribution = torch.zeros_like(after)
    padded, low_padded = (F.pad(values, (1, 1, 1, 1), value=-float("inf")) for values in (after, low_after))
    for channel in range(after.shape[1]):
        for row in range(pooled.shape[2]):
            for column in range(pooled.shape[3]):
                spot = (0, channel, slice(2 * row, 2 * row + 3), slice(2 * column, 2 * column + 3))
                ours, theirs = padded[spot], low_padded[spot]
                upper = max(ours.max(), theirs.max())
                for values, amount in ((theirs, ours.max() - upper), (ours, upper - theirs.max())):
                    place = int(values.argmax())
                    down, across = 2 * row + place // 3 - 1, 2 * column + place % 3 - 1
                    contribution[0, channel, down, across] += slope[0, channel, row, column] * amount
    ratio = torch.where((before - low).abs() > 0, contribution / (before - low), torch.zeros(()))
    probe = x.clone().requires_grad_()
    (multiplier,) = torch.autograd.grad(net.a(probe), probe, ratio)
    return ((x - empty) * multiplier).sum(1)[0].numpy()


def test_a_relu_that_is_out_of_sight_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden = torch.jit.trace(nn.ReLU(), torch.randn(1, 16, 7, 7))
    with pytest.raises(vizlib.MethodError, match="ReLU"):
        explain(Net(second=hidden), "guided_backprop")


def test_a_model_without_a_relu_is_refused() -> None:
    class Smooth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, x):
            return self.fc(F.gelu(self.a(x)).mean((2, 3)))

    with pytest.raises(vizlib.MethodError, match="calls no ReLU"):
        explain(Smooth(), "guided_backprop")


def test_the_model_and_its_weights_stay_as_they_are() -> None:
    net = Net(second=lambda x: F.relu(x, inplace=True)).eval()
    before, answer = copy.deepcopy(net.state_dict()), net(X)
    for method in ("guided_backprop", "deeplift"):
        explain(net, method)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(net(X), answer)
    assert not any(part._forward_hooks or part._backward_hooks for part in net.modules())


@pytest.mark.parametrize(
    ("call", "one"),
    [
        (lambda x: x.clamp(0), True),
        (lambda x: x.clamp(min=0), True),
        (lambda x: torch.clamp(x, min=0.0), True),
        (lambda x: torch.clamp(x, min=torch.zeros(()), max=None), True),
        (lambda x: x.clamp(0, 6), False),
        (lambda x: x.clamp(max=0), False),
        (lambda x: x.clamp(min=-1), False),
        (lambda x: x.clamp(min=-1, max=0), False),
        (lambda x: x.clamp_min(0), True),
        (lambda x: torch.clamp_min(x, min=0), True),
        (lambda x: x.clamp_min(0.5), False),
        (lambda x: torch.maximum(x, torch.zeros(())), True),
        (lambda x: torch.maximum(x, torch.ones(())), False),
        (lambda x: F.threshold(x, threshold=0, value=0), True),
        (lambda x: F.threshold(x, 0, -1), False),
    ],
)
def test_a_call_is_a_relu_only_where_it_cuts_at_zero_and_nowhere_else(call, one):
    seen = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(_is_relu(func, args, kwargs or {}))
            return func(*args, **(kwargs or {}))

    x = torch.linspace(-2, 8, 11)
    with Watch():
        y = call(x)
    assert any(seen) is one
    assert torch.equal(y, x.relu()) is one
