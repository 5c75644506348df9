"""Grad-CAM on the last map of any network and on named layers, against captum's or a gradient taken by hand."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from captum.attr import LayerGradCam
from torch import nn
from traced_checks import filled, maps_of

import vizlib

SIZE = 64
X = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


class ByHand(nn.Module):
    """A network that names nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))


class ChannelsLast(nn.Module):
    """Its map is (images, rows, columns, channels), with as many channels as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mixer, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        return self.head(self.mixer(x).tanh().pow(2).mean((1, 2)))


def by_captum(module: nn.Module, layer: nn.Module, target: int) -> torch.Tensor:
    """Captum's map (B, rows, columns)."""
    return LayerGradCam(module, layer).attribute(X, target=target, relu_attributions=True)[:, 0].detach()


def coarse(model: vizlib.Model, **options) -> torch.Tensor:
    """The map with one value for each cell: what is resized to the pixels has its cells' values at their centres."""
    return maps_of(vizlib.explain(model, X, "grad_cam", target=[1, 1], **options))


def resized(maps: torch.Tensor) -> torch.Tensor:
    """Bilinear on the pixels."""
    return nn.functional.interpolate(maps[:, None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]


@pytest.mark.parametrize(
    ("build", "layer"),
    [(torchvision.models.shufflenet_v2_x0_5, "conv5"), (torchvision.models.mobilenet_v3_small, "features"), (ByHand, "second")],
)  # fmt: skip
def test_a_convnets_last_map_is_that_of_captum(build, layer: str) -> None:
    module = filled(build())
    reference = resized(by_captum(module, module.get_submodule(layer), 1))
    assert float(reference.max()) > 0
    for options in ({}, {"layer": layer}, {"layer": module.get_submodule(layer)}):
        maps = coarse(vizlib.wrap(module, input_size=SIZE), **options)
        assert float((maps - reference).abs().max()) < 1e-9 * float(reference.max())


def test_an_earlier_layer_is_that_of_captum() -> None:
    module = filled(torchvision.models.resnet18())
    model = vizlib.wrap(module, input_size=SIZE)
    reference = resized(by_captum(module, module.layer2, 1))
    assert float((coarse(model, layer="layer2") - reference).abs().max()) < 1e-6 * float(reference.max())


@pytest.mark.parametrize(
    ("build", "layer"),
    [(ChannelsLast, "mixer"), (lambda: timm.create_model("mambaout_femto", num_classes=10, depths=(1, 1, 1, 1)), "stages.3")],
)
def test_channels_last(build, layer: str) -> None:
    module = filled(build())
    kept = []
    handle = module.get_submodule(layer).register_forward_hook(lambda part, inputs, output: kept.append(output))
    logits = module(X)
    handle.remove()
    (slope,) = torch.autograd.grad(logits[:, 1].sum(), kept)
    reference = resized((kept[0] * slope.mean((1, 2), keepdim=True)).sum(-1).clamp_min(0).detach())
    assert float(reference.max()) > 0
    model = vizlib.wrap(module, input_size=SIZE)
    assert "grad_cam" in model.card.methods
    assert float((coarse(model, layer=layer) - reference).abs().max()) < 1e-9 * float(reference.max())
    if isinstance(module, ChannelsLast):
        assert float((coarse(model) - reference).abs().max()) < 1e-9 * float(reference.max())


def test_tokens_of_a_pyramid() -> None:
    module = filled(timm.create_model("levit_128s", img_size=SIZE, num_classes=10))
    assert float(coarse(vizlib.wrap(module, input_size=SIZE)).max()) > 0


def test_a_bad_layer_names_those_that_fit() -> None:
    model = vizlib.wrap(filled(ByHand()), input_size=SIZE)
    with pytest.raises(vizlib.MethodError, match=r"no part 'third'.*second, first"):
        coarse(model, layer="third")
    with pytest.raises(vizlib.MethodError, match="head gives no map"):
        coarse(model, layer="head")
    with pytest.raises(vizlib.MethodError, match="is no part of"):
        coarse(model, layer=nn.Conv2d(3, 3, 3))
    with pytest.raises(vizlib.MethodError, match="name of a part"):
        coarse(model, layer=3)


def test_the_layer_is_kept_by_its_name() -> None:
    module = filled(ByHand())
    explanation = vizlib.explain(vizlib.wrap(module, input_size=SIZE), X[0], "grad_cam", target=1, layer=module.first)
    assert explanation.options["layer"] == "first"
