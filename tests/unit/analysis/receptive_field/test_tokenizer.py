"""vizlib.analysis.receptive_field.tokenizer against gradients through the real tokenisers and the models' own features."""

from __future__ import annotations

import pytest
import torch

import vizlib
from vizlib.analysis.receptive_field.tokenizer import cover, features_of, layers, routes, token_maps_of
from vizlib.errors import MethodError
from vizlib.passes.forward import run

NAMES = ["cct_tiny50", "compact_vit_tiny50", "vit_tiny50"]


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    return vizlib.load(request.param, checkpoint="random")


def noise(seed=0):
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_the_cover_is_where_gradients_can_go(model):
    reach = cover(model, (64, 64))
    assert reach.grid == (8, 8)
    x = noise().requires_grad_()
    maps = token_maps_of(model)(x)
    assert maps.shape[2:] == (8, 8)
    (gradient,) = torch.autograd.grad(maps[0, :, 3, 4].square().sum(), x)
    assert not gradient[0].abs().sum(0)[reach.counts(3, 4) == 0].any()
    if len(layers(model)) == 1:
        assert (gradient[0].abs().sum(0) > 0).equal(reach.counts(3, 4) > 0)


def test_routes_stay_inside_the_cover_and_sum_to_one(model):
    made, reach = routes(run(model, noise())), cover(model, (64, 64))
    assert made.shape == (64, 4096)
    assert torch.allclose(made.sum(1), torch.ones(64, dtype=torch.float64), atol=1e-9)
    for index in (0, 28, 63):
        assert not made[index][reach.counts(index // 8, index % 8).flatten() == 0].any()


def test_routes_of_patches_are_even():
    made = routes(run(vizlib.load("compact_vit_tiny50", checkpoint="random"), noise())).reshape(64, 64, 64)
    assert torch.allclose(made[9, 8:16, 8:16], torch.full((8, 8), 1 / 64, dtype=torch.float64))


def test_routes_depend_on_the_picture_through_the_pools_alone():
    model = vizlib.load("cct_tiny50", checkpoint="random")
    first, second = (routes(run(model, noise(seed))) for seed in (0, 1))
    assert (first - second).abs().max() > 1e-3


def test_features_are_what_the_head_reads(model):
    x = noise()
    with torch.no_grad():
        head = model.module.classifier.fc if model.adapter.family == "compact" else model.module.head
        assert torch.allclose(head(features_of(model)(x)), model(x), atol=1e-5)


def test_connections_by_hand():
    (patches,) = layers(vizlib.load("compact_vit_tiny50", checkpoint="random"))
    assert patches.window == (8, 8, 0)
    assert patches.parameters == 3 * 64 * 192 + 192
    assert patches.connections((8, 8)) == 64 * 192 * 192
    found = layers(vizlib.load("cct_tiny50", checkpoint="random"))
    assert [one.window for one in found] == [(3, 1, 1), (3, 2, 1)] * 3
    assert found[0].connections((64, 64)) == 4096 * 32 * 27
    assert found[1].connections((32, 32)) == 0


def test_other_tokenisers_are_refused():
    with pytest.raises(MethodError, match="not read here"):
        layers(vizlib.load("t2t_tiny50", checkpoint="random"))
