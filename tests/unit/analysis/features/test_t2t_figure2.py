"""vizlib.analysis.features.t2t_figure2 against the same chains written out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import vizlib
from vizlib.analysis.features.t2t_figure2 import bare_maps
from vizlib.errors import MethodError


def prepared(model):
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (model.transform.mean, model.transform.std))
    return pixels, (pixels - mean) / std


def test_a_chain_of_bare_convolutions():
    model = vizlib.load("resnet_tiny50", checkpoint="random")
    pixels, x = prepared(model)
    made = bare_maps(model, x)
    assert list(made) == ["stem", "layer1", "layer2", "layer3", "layer4"]
    y = pixels
    with torch.no_grad():
        for index in (0, 3, 6):
            y = F.conv2d(y, model.module.conv1[index].weight, stride=model.module.conv1[index].stride, padding=1)
        assert torch.allclose(made["stem"], y[0], atol=1e-5)
        block = model.module.layer1[0]
        y = F.conv2d(F.conv2d(y, block.conv1.weight, padding=1), block.conv2.weight, padding=1)
    assert torch.allclose(made["layer1"], y[0], atol=1e-4)


def test_blocks_without_class_token_and_positions():
    model = vizlib.load("vit_tiny50", checkpoint="random")
    pixels, x = prepared(model)
    made = bare_maps(model, x)
    with torch.no_grad():
        tokens = model.module.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        expected = model.module.blocks[1](model.module.blocks[0](tokens))
    assert torch.allclose(made["blocks.1"].flatten(1).T, expected[0], atol=1e-4)
    true = vizlib.trace(model, x[0]).tokens["blocks.1"][1:]
    assert not torch.allclose(expected[0], true, atol=0.1)


def test_other_families_are_refused():
    model = vizlib.load("cct_tiny50", checkpoint="random")
    with pytest.raises(MethodError, match="another family"):
        bare_maps(model, torch.zeros(1, 3, 64, 64))
