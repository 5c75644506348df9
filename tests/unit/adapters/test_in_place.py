"""Modules that work in place: what a part gave is what it gave then, and a gradient that cannot be told is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from test_declared_vits import CLIP, LUCID, inputs, third
from torch import nn
from vit_modules import ClipTower, LucidTransformer, LucidViT, filled

import vizlib
from vizlib.errors import MethodError
from vizlib.explainers.methods.cam.grad_cam import weigh
from vizlib.explainers.parts.attention_walk import total_score
from vizlib.explainers.parts.weighed_maps import on_features
from vizlib.explainers.targets import resolve_targets
from vizlib.passes.backward import gradients_on


class Convnet(nn.Module):
    """An activation after its last map, in place or not."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.activation, self.head = nn.ReLU(inplace=in_place), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.activation(self.second(self.activation(self.first(x)))).mean((2, 3)))


class LucidInPlace(LucidTransformer):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for attention, feed in self.layers:
            x += attention(x)
            x += feed(x)
        return self.norm(x)


def clip_in_place() -> nn.Module:
    tower = filled(ClipTower())
    block = type(tower.transformer.resblocks[0])

    class InPlace(block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            normed = self.ln_1(x)
            x += self.attn(normed, normed, normed, need_weights=False)[0]
            x += self.mlp(self.ln_2(x))
            return x

    for part in tower.transformer.resblocks:
        part.__class__ = InPlace
    return tower


def lucid_in_place() -> nn.Module:
    module = filled(LucidViT())
    module.transformer.__class__ = LucidInPlace
    return module


PAIRS = {"lucid": (lambda: filled(LucidViT()), lucid_in_place, LUCID), "clip": (lambda: filled(ClipTower()), clip_in_place, CLIP)}


@pytest.mark.parametrize("options", [{}, {"layer": "second"}, {"layer": "first"}], ids=str)
def test_grad_cam_reads_the_map_as_the_layer_gave_it(options: dict[str, str]) -> None:
    maps = [
        vizlib.explain(vizlib.wrap(filled(Convnet(in_place=in_place)), input_size=32), inputs(), "grad_cam", target=third, **options)
        for in_place in (False, True)
    ]
    for plain, in_place in zip(*maps, strict=True):
        assert plain.input_map.max() > 0
        assert abs(plain.input_map - in_place.input_map).max() < 1e-12 * plain.input_map.max()


def test_so_it_does_on_a_declared_feature_map() -> None:
    maps = []
    for in_place in (False, True):
        model = vizlib.wrap(filled(Convnet(in_place=in_place)), input_size=32)
        with gradients_on():
            read = on_features(model, inputs(), partial(resolve_targets, model, [1, 1]), "second", "plain", total_score)
        maps.append(weigh(read.values, read.slopes))
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PAIRS)
def test_traces_and_rollouts_are_those_of_the_same_sums_apart(name: str) -> None:
    apart, in_place, declared = PAIRS[name]
    first, second = (vizlib.wrap(build(), adapter=declared, input_size=32) for build in (apart, in_place))
    tokens, others = (vizlib.trace(model, inputs()[:1])[0].tokens for model in (first, second))
    assert len(tokens) == 2
    for block, states in tokens.items():
        torch.testing.assert_close(others[block], states)
    for options in ({}, {"residual_weight": "norms"}):
        left, right = (vizlib.explain(model, inputs()[:1], "rollout", **options)[0] for model in (first, second))
        assert abs(left.input_map - right.input_map).max() < 1e-12


@pytest.mark.parametrize("method", ["grad_cam", "relevance", "legrad", "gradient_rollout", "saliency", "integrated_gradients"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_gradient_that_cannot_be_told_is_refused_in_a_sentence(name: str, method: str) -> None:
    _, in_place, declared = PAIRS[name]
    with pytest.raises(MethodError, match=r"in place.*write x = x \+"):
        vizlib.explain(vizlib.wrap(in_place(), adapter=declared, input_size=32), inputs(), method, target=third)
