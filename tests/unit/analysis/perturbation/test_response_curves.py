"""vizlib.analysis.perturbation.response_curves against models whose answer is known in closed form, and the bundled ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import vizlib
from vizlib.analysis.perturbation.patch_shuffle import without_positions
from vizlib.analysis.perturbation.registry import PERTURBATIONS, Aids
from vizlib.analysis.perturbation.response_curves import from_pixels, layer_drift, response, to_pixels
from vizlib.errors import CancelledError, ImageError, MethodError, ModelError, TargetError
from vizlib.geometry import Transform

PLAIN = Transform(size=(32, 32), crop_pct=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Toy(nn.Module):
    """One layer of maps, their means, and a linear head."""

    def __init__(self, body, channels=3, classes=2):
        super().__init__()
        self.body, self.fc, self.num_classes = body, nn.Linear(channels, classes), classes
        self.feature_info = [{"module": "body"}]

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


def toy(body, channels=3, **given):
    torch.manual_seed(0)
    return vizlib.wrap(Toy(body, channels).double(), transform=PLAIN, **given)


def picture(seed=0):
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def circular(stride=1):
    return nn.Conv2d(3, 4, 3, stride=stride, padding=1, padding_mode="circular")


def test_a_circular_convolution_follows_every_shift_exactly():
    made = response(toy(circular(), 4), picture(), "shift", range(9), Aids(fill="wrap"))
    assert made.drift.shape == (1, 9)
    assert made.drift.max() == 0
    assert made.readout == pytest.approx(1, abs=1e-12)
    assert made.divergence.max() < 1e-12


def test_a_strided_convolution_follows_its_stride_only():
    drift = response(toy(circular(4), 4), picture(), "shift", range(9), Aids(fill="wrap")).drift[0]
    assert drift[[0, 4, 8]].max() == 0
    assert drift[[1, 2, 3, 5, 6, 7]].min() > 0.3


def test_turns_and_scales_of_a_pointwise_layer_are_followed_where_the_picture_is_smooth():
    rows, columns = torch.meshgrid(torch.arange(32) / 32, torch.arange(32) / 32, indexing="ij")
    x = torch.stack([rows, columns, (rows + columns) / 2])[None]
    body = nn.Conv2d(3, 4, 1)
    for name in ("rotation", "scale"):
        drift = response(toy(body, 4), x, name, [10.0, 45.0] if name == "rotation" else [0.8, 1.4]).drift
        assert drift.max() < 0.01
    assert response(toy(circular(2), 4), picture(), "rotation", [45.0]).drift.min() > 0.3
    # With four cells a side none is left whose whole square stays inside.
    assert np.isnan(response(toy(circular(8), 4), picture(), "rotation", [45.0]).drift).all()


def test_patches_that_go_back_are_followed_by_a_pointwise_layer():
    made = response(toy(nn.Conv2d(3, 4, 1), 4), picture(), "shuffle", [1, 2, 4])
    assert made.drift.max() < 1e-6  # inputs are float32
    assert response(toy(circular(), 4), picture(), "shuffle", [4]).drift.min() > 0.1


def test_a_vit_without_positions_follows_shifts_by_its_patch():
    plain = vizlib.load("vit_tiny50", checkpoint="random")
    blind, x = without_positions(plain), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).clamp(-1.5, 1.5)
    made = response(blind, x, "shift", [0, 3, 8, 16], Aids(fill="wrap"))
    assert made.drift[:, [0, 2, 3]].max() < 1e-5
    assert made.drift[:, 1].min() > 0.05
    assert made.readout[[0, 2, 3]] == pytest.approx(1, abs=1e-6)
    assert response(plain, x, "shift", [8], Aids(fill="wrap")).drift.min() > 1e-4


def test_a_pooled_linear_model_in_closed_form():
    # The mean colour is all it reads: taking s of the colour out moves the means towards their brightness.
    # Colours far apart and a steep head, so that the answer moves far.
    model, x = toy(nn.Identity()), picture() * torch.tensor([1.0, 0.3, 0.1])[:, None, None]
    with torch.no_grad():
        model.module.fc.weight *= 20
    made = response(model, x, "grey")
    assert made.divergence[-1] > 0.05
    means = x.double().mean((2, 3))[0]
    bright = means @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    weight, bias = model.module.fc.weight.detach(), model.module.fc.bias.detach()
    for index, share in enumerate(PERTURBATIONS["grey"].strengths):
        mixed = (1 - share) * means + share * bright
        logits = weight @ mixed + bias
        odds = math.exp(float(logits[0] - logits[1]))
        assert made.probabilities[index, 0] == pytest.approx(odds / (1 + odds), abs=1e-7)
        assert made.readout[index] == pytest.approx(float(mixed @ means / mixed.norm() / means.norm()), abs=1e-7)
    before, after = made.original, made.probabilities[-1]
    assert made.divergence[-1] == pytest.approx(sum(p * math.log(p / q) for p, q in zip(before, after, strict=True)), abs=1e-9)


def test_means_do_not_see_what_keeps_them():
    model, x = toy(nn.Identity()), 0.4 + 0.2 * picture()
    for name, aids in (("shift", Aids(fill="wrap")), ("shuffle", None), ("low_pass", None), ("high_pass", None), ("blur", None)):
        made = response(model, x, name, aids=aids)
        assert made.probabilities == pytest.approx(np.broadcast_to(made.original, made.probabilities.shape), abs=1e-6)
        assert made.same.all()


def test_a_drift_by_hand():
    still = torch.tensor([[[0.0, 4.0], [2.0, 2.0]]])
    back = torch.tensor([[[1.0, 4.0], [9.0, 2.0]]])
    seen = torch.tensor([[True, True], [False, True]])
    # The mean is 2: deviations -2, 2, 0 where it is seen, and a gap of 1.
    assert layer_drift(still, back, seen) == pytest.approx(1 / math.sqrt(8))
    assert math.isnan(layer_drift(still, back, torch.zeros(2, 2, dtype=torch.bool)))
    flat = torch.ones(1, 2, 2)
    assert layer_drift(flat, flat, seen) == 0
    assert math.isnan(layer_drift(flat, back, seen))


@pytest.mark.parametrize("name", ["vit_tiny50", "cct_tiny50", "pvt_tiny50", "cvt_tiny50", "resnet_tiny50"])
def test_bundled_models_answer_as_they_do_alone(name):
    model, x = vizlib.load(name), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).clamp(-1.5, 1.5)
    made = response(model, x, "blur", [0.0, 1.0, 2.0], batch=2)
    with torch.inference_mode():
        before = model(x)[0].double().softmax(0)
        after = model(from_pixels(model, PERTURBATIONS["blur"](to_pixels(model, x), 2.0)))[0].double().softmax(0)
    assert made.original == pytest.approx(before.numpy(), abs=1e-6)
    assert made.probabilities[2] == pytest.approx(after.numpy(), abs=1e-6)
    assert made.curve[0] == pytest.approx(before.max().item(), abs=1e-6)
    assert made.divergence[0] == pytest.approx(0, abs=1e-9)
    assert made.drift[:, 0].max() < 1e-4
    assert made.drift[:, 1:].min() > 0.05
    assert len(made.layers) == len(made.drift)
    assert made.readout[0] == pytest.approx(1, abs=1e-6)


def test_the_read_out_is_what_the_head_reads():
    model, x = vizlib.load("resnet_tiny50"), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).clamp(-1.5, 1.5)
    made = response(model, x, "noise", [0.2])
    y = from_pixels(model, PERTURBATIONS["noise"](to_pixels(model, x), 0.2))
    with torch.inference_mode():
        first, second = (model.module.forward_head(model.module.forward_features(one), pre_logits=True)[0].double() for one in (x, y))
    assert made.readout[0] == pytest.approx(float(first @ second / first.norm() / second.norm()), abs=1e-6)


def test_pixels_and_inputs_are_inverse_and_an_image_is_prepared():
    model, image = vizlib.load("vit_tiny50", checkpoint="random"), np.random.default_rng(0).integers(0, 256, (80, 50, 3), dtype=np.uint8)
    x = model.prepare(image)
    assert torch.allclose(from_pixels(model, to_pixels(model, x)), x, atol=1e-6)
    assert np.array_equal(response(model, image, "grey", [1.0]).probabilities, response(model, x, "grey", [1.0]).probabilities)


def test_progress_may_stop():
    told = []

    def progress(done, total=None):
        told.append((done, total))
        if done >= 4:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        response(toy(nn.Identity()), picture(), "shift", batch=4, progress=progress)
    assert told == [(0, 17), (4, 17)]


def test_what_cannot_be_measured_is_refused_with_the_reason():
    model = toy(nn.Identity())
    with pytest.raises(ImageError, match="one picture"):
        response(model, torch.zeros(2, 3, 32, 32), "blur")
    with pytest.raises(MethodError, match="at least one strength"):
        response(model, picture(), "blur", [])
    with pytest.raises(MethodError, match="needs a map"):
        response(model, picture(), "salient")
    with pytest.raises(ModelError, match="how its inputs are prepared"):
        response(vizlib.wrap(Toy(nn.Identity())), picture(), "blur")
    with pytest.raises(TargetError, match="no classification head"):
        response(vizlib.load("vit_small_patch14_dinov2", checkpoint="random", image_size=28), torch.zeros(1, 3, 28, 28), "blur")

    class Conv(Toy):
        def forward(self, x):
            return self.fc(self.body(x).mean((2, 3))) ** 2

    with pytest.raises(MethodError, match="does not end in a linear layer"):
        response(vizlib.wrap(Conv(nn.Identity()), transform=PLAIN), picture(), "blur")


def test_the_model_is_as_before():
    model = vizlib.load("vit_tiny50", checkpoint="random")
    state = torch.get_rng_state()
    hooks = [len(part._forward_hooks) for part in model.module.modules()]
    response(model, torch.zeros(1, 3, 64, 64), "noise", [0.1])
    assert torch.equal(state, torch.get_rng_state())
    assert hooks == [len(part._forward_hooks) for part in model.module.modules()]
