"""Grad-CAM lies where its grid lies, is offered where the answer depends on a feature map, and says so where it is not certain."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from traced_checks import filled
from zoo_cases import SMALL

import vizlib
from vizlib.explainers.parts.cells_on_pixels import on_pixels


def picture(*size: int) -> torch.Tensor:
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(5))


def seeded(build) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        return build().eval()


@pytest.mark.parametrize("size", [(70, 85), (33, 50), (64, 79)])
@pytest.mark.parametrize("method", ["grad_cam"])
def test_a_padded_vit_is_read_as_the_picture_padded_by_hand(size: tuple[int, int], method: str) -> None:
    module = seeded(lambda: VisionTransformer(**SMALL, dynamic_img_size=True, dynamic_img_pad=True, global_pool="avg"))
    patch = SMALL["patch_size"]
    x = picture(*size)
    bottom, right = (-side % patch for side in size)
    padded = F.pad(x, (0, right, 0, bottom))
    model = vizlib.wrap(module)
    ours, whole = (vizlib.explain(model, image, method, 1).input_map for image in (x, padded))
    assert ours.max() > 0
    assert np.allclose(ours, whole[: size[0], : size[1]], atol=1e-9)


def test_strides_are_those_of_a_large_input() -> None:
    swin = seeded(lambda: SwinTransformer(img_size=64, window_size=4, embed_dim=16, depths=(1, 1, 1), num_heads=(2, 2, 2), num_classes=5))
    wide = seeded(lambda: VisionTransformer(**SMALL | {"patch_size": (8, 16)}))
    for module, stride in ((swin, (16, 16)), (wide, (8, 16)), (timm.create_model("pvt_v2_b0"), (32, 32))):
        assert vizlib.wrap(module).adapter.stride() == stride


@pytest.mark.parametrize(
    "build", [lambda: timm.create_model("resnet18", num_classes=4), lambda: torchvision.models.resnet18(num_classes=4)]
)
@pytest.mark.parametrize("side", [84, 97, 128, 150])
def test_an_odd_input_of_a_resnet_lies_under_its_cells_of_32_pixels(build, side: int) -> None:
    module, x = seeded(build), picture(side, side)
    kept: list[torch.Tensor] = []
    handle = module.layer4.register_forward_hook(lambda part, inputs, output: kept.append(output))
    score = module(x[None])[0, 1]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    coarse = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1).clamp_min(0).detach()
    cells = coarse.shape[-1]
    whole = F.interpolate(coarse[None].double(), size=(32 * cells, 32 * cells), mode="bilinear", align_corners=False)[0, 0]
    explanation = vizlib.explain(vizlib.wrap(module, input_size=side), x, "grad_cam", 1)
    assert np.allclose(explanation.input_map, whole[:side, :side].numpy(), atol=1e-5 * float(whole.max()))
    assert cells == -(-side // 32)


def test_a_dot_is_seen_where_it_is_in_an_odd_input() -> None:
    """Five convolutions that halve and pad: the cell that a dot reaches most is that whose pixels hold it."""
    maps = torch.zeros(1, 4, 4, dtype=torch.float64)
    maps[0, 1, 3] = 1
    placed = on_pixels(maps, (97, 97), (32, 32))[0]
    row, column = divmod(int(placed.argmax()), 97)
    assert 32 <= row < 64
    assert column == 96


def test_strides_that_are_not_declared() -> None:
    maps = torch.rand(1, 3, 3, dtype=torch.float64)
    for size, extent in (
        ((84, 84), (84, 84)),
        ((83, 83), (96, 96)),
        ((90, 85), (90, 96)),
        ((130, 130), (192, 192)),
        ((100, 100), (100, 100)),
    ):
        whole = F.interpolate(maps[None], size=extent, mode="bilinear", align_corners=False)[0]
        assert torch.equal(on_pixels(maps, size, None), whole[:, : size[0], : size[1]])


@pytest.mark.parametrize(
    "name",
    ["pit_ti_224", "pit_ti_distilled_224", "coat_tiny", "coat_lite_tiny", "cait_xxs24_224", "convit_tiny", "crossvit_tiny_240",
     "mixer_s32_224", "xcit_nano_12_p16_224", "levit_128s"],
)  # fmt: skip
def test_grad_cam_finds_a_map_where_none_is_named(name: str) -> None:
    """Families that name no last map, or one that is none, as a tuple or tokens: the map that the answer is read from is found."""
    model = vizlib.wrap(filled(timm.create_model(name, num_classes=4)))
    assert "grad_cam" in model.card.methods
    x = torch.rand(3, *model.card.input_size, dtype=torch.float64)
    maps = vizlib.explain(model, x.expand(4, *x.shape), "grad_cam", [0, 1, 2, 3])
    assert any((explanation.input_map > 0).any() for explanation in maps)  # one class's map may be negative everywhere


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050", "densenet121", "regnety_002", "edgenext_xx_small"])
def test_grad_cam_is_offered_and_runs_elsewhere(name: str) -> None:
    model = vizlib.wrap(timm.create_model(name, num_classes=4))
    assert "grad_cam" in model.card.methods
    vizlib.explain(model, torch.rand(3, 96, 96), "grad_cam", 1)


def test_a_map_that_the_answer_is_not_read_from_is_refused_when_it_runs() -> None:
    class Beside(nn.Module):
        """Names a feature map that it computes and does not use; says nothing of its input, so that only a run can tell."""

        def __init__(self) -> None:
            super().__init__()
            self.stem, self.beside, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 5)
            self.feature_info = [{"module": "beside", "num_chs": 4, "reduction": 1}]

        def forward(self, x):
            x = self.stem(x)
            self.beside(x)
            return self.fc(x.mean((2, 3)))

    with pytest.raises(vizlib.MethodError, match="not what the answer is read from"):
        vizlib.explain(vizlib.wrap(Beside().eval(), input_size=16), picture(16, 16), "grad_cam")


def test_merged_tokens_are_refused_with_their_number() -> None:
    class Merging(nn.Module):
        def __init__(self, block: nn.Module) -> None:
            super().__init__()
            self.block = block

        def forward(self, x, *args, **kwargs):
            return self.block(x[:, :-2])

    module = seeded(lambda: VisionTransformer(**SMALL))
    module.blocks[-1] = Merging(module.blocks[-1])
    with pytest.raises(vizlib.MethodError, match="tokens where the architecture has"):
        vizlib.explain(vizlib.wrap(module), picture(32, 32), "grad_cam", 1)
