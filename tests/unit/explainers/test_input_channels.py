"""Models of one, two, four and thirteen channels: tensors work, a picture is brought to grey, and for others a tensor is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

import vizlib


class Net(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "guided_backprop", "deeplift", "occlusion", "lime", "rise")
PICTURE = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_tensors_of_any_channels(channels: int, method: str) -> None:
    model = vizlib.wrap(Net(channels).eval(), input_size=24)
    x = torch.rand(channels, 24, 24, generator=torch.Generator().manual_seed(1))
    explanation = vizlib.explain(model, x, method, 1, **({"samples": 20} if method in ("lime", "rise") else {}))
    assert explanation.image.shape == (24, 24, 3)
    assert np.abs(explanation.input_map).max() > 0
    if method == "input_x_gradient":
        probe = x[None].clone().requires_grad_()
        (slope,) = torch.autograd.grad(model.module(probe)[0, 1], probe)
        assert np.allclose(explanation.input_map, (slope * probe).sum(1)[0].detach().numpy(), atol=1e-6)
    with pytest.raises(vizlib.ImageError, match=f"{channels} channels"):
        vizlib.explain(model, torch.rand(3, 24, 24), method, 1)


@pytest.mark.parametrize("module", [Net(1), timm.create_model("resnet10t", in_chans=1, num_classes=4)], ids=["own", "timm's"])
def test_a_picture_is_brought_to_grey(module: nn.Module) -> None:
    model = vizlib.wrap(module.eval(), input_size=64)
    ramp = np.linspace(0, 250, 40 * 30 * 3).reshape(3, 40, 30).transpose(1, 2, 0).astype(np.uint8)
    x = model.prepare(ramp)
    assert x.shape == (1, 1, 64, 64)
    grey = np.repeat((ramp @ np.array([0.299, 0.587, 0.114]))[:, :, None], 3, 2).round().astype(np.uint8)
    assert torch.allclose(model.prepare(grey), x, atol=0.06)
    white = model.prepare(np.full((40, 30, 3), 255, np.uint8))
    mean, std = (sum(values) / 3 for values in (model.transform.mean, model.transform.std))
    assert torch.allclose(white, torch.tensor((1 - mean) / std), atol=1e-5)
    assert vizlib.explain(model, PICTURE, "saliency", 1).map.shape == (40, 30)
    assert len(vizlib.predict(model, PICTURE)) == 4


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_a_tensor_is_asked_for_where_a_picture_says_too_little(channels: int) -> None:
    model = vizlib.wrap(Net(channels).eval(), input_size=24)
    for call in (
        lambda: vizlib.explain(model, PICTURE, "saliency", 1),
        lambda: vizlib.predict(model, PICTURE),
        lambda: vizlib.trace(model, PICTURE),
    ):
        with pytest.raises(vizlib.ModelError, match="give a prepared tensor"):
            call()


def test_the_picture_to_show_is_handed_over_and_kept(tmp_path) -> None:
    model = vizlib.wrap(Net(13).eval(), input_size=24)
    x, shown = torch.rand(2, 13, 24, 24), [PICTURE[:24, :24], PICTURE[10:34, 4:28]]
    plain, explanations = vizlib.explain(model, x, "saliency", 1), vizlib.explain(model, x, "saliency", 1, display=shown)
    for one, other, picture in zip(plain, explanations, shown, strict=True):
        assert np.array_equal(one.input_map, other.input_map)
        assert np.array_equal(other.image, picture)
        assert not np.array_equal(one.image, picture)
    single = vizlib.explain(model, x[1], "saliency", 1, display=shown[1])
    assert np.array_equal(single.image, shown[1])
    loaded, tensor = vizlib.load("resnet_tiny50", checkpoint="random"), torch.rand(3, 64, 64)
    picture = np.tile(PICTURE, (2, 3, 1))[:64, :64]
    saved = vizlib.explain(loaded, tensor, "saliency", 1, display=picture).save(tmp_path / "saved")
    assert np.array_equal(vizlib.replay(saved).image, picture)


@pytest.mark.parametrize(
    ("channels", "image", "display", "said"),
    [
        (4, torch.rand(4, 24, 24), PICTURE, "40 x 30 pixels and the tensor 24 x 24"),
        (4, torch.rand(2, 4, 24, 24), [PICTURE[:24, :24]], "each of the 2 images"),
        (4, torch.rand(1, 4, 24, 24), PICTURE[:24, :24], "each of the 1 images"),
        (3, PICTURE, PICTURE, "a picture shows itself"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_refused(channels: int, image, display, said: str) -> None:
    model = vizlib.wrap(Net(channels).eval(), input_size=24)
    with pytest.raises(vizlib.ImageError, match=said):
        vizlib.explain(model, image, "saliency", 1, display=display)


class MakesGrey(nn.Module):
    """Three channels go in, and the first convolution has one."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net(1)

    def forward(self, x):
        return self.net(x[:, :1] + 2 * x[:, 1:2] + x[:, 2:3])


def test_channels_are_those_of_the_input_and_not_of_the_first_convolution() -> None:
    model = vizlib.wrap(MakesGrey().eval(), input_size=24)
    assert model.channels == 3
    x = torch.rand(3, 24, 24)
    probe = x[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.module(probe)[0, 1], probe)
    assert np.allclose(vizlib.explain(model, x, "input_x_gradient", 1).input_map, (slope * probe).sum(1)[0].detach().numpy(), atol=1e-6)
    assert model.prepare(PICTURE).shape == (1, 3, 24, 24)
