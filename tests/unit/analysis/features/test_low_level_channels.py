"""Channels that hold a picture's edges: the picture's own gradients do, noise and another picture's do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vizlib.analysis.features.channels import gradients
from vizlib.analysis.features.low_level_channels import low_level, permuted
from vizlib.errors import VizlibError
from vizlib.stats import CHANCE


def pictures(count, side=64):
    small = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    return list(F.interpolate(small, (side, side), mode="bilinear"))


def test_own_edges_count_and_those_of_others_do_not():
    image, *others = pictures(7)
    turned = permuted(others[:5])
    assert len(turned) == 40
    own = gradients(image, (16, 16))
    foreign = gradients(others[5], (16, 16))
    maps = torch.cat([own[0] - own[1] + own[2:3], foreign[:1]])
    found = low_level(maps, image, turned, (8, 8))
    assert found.beyond_chance.tolist() == [True, False]
    assert found.edge[0] > 0.8


@pytest.mark.parametrize("side", [8, 16, 32])
def test_noise_counts_as_often_as_by_chance_whatever_its_grid(side):
    image, *others = pictures(6)
    noise = torch.randn(2000, side, side, generator=torch.Generator().manual_seed(1))
    found = low_level(noise, image, permuted(others), (8, 8))
    assert float(found.beyond_chance.double().mean()) == pytest.approx(CHANCE, abs=0.03)


def test_oblong_pictures_are_not_turned_and_too_few_are_refused():
    assert len(permuted([torch.zeros(3, 8, 6)])) == 4
    with pytest.raises(VizlibError, match="it takes 20"):
        low_level(torch.zeros(1, 8, 8), torch.zeros(3, 8, 8), [torch.zeros(3, 8, 8)] * 8, (8, 8))
