"""Layers of every family in one list, beside each other, and the same places in all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases

import vizlib
from vizlib.analysis.features.correspondence import correspondence, profiles
from vizlib.analysis.features.layer_alignment import WAYS, aligned
from vizlib.analysis.features.layers import Layer, read
from vizlib.analysis.features.sampled_positions import in_input, sampled, scattered, shared_box
from vizlib.errors import MethodError
from vizlib.geometry import Geometry, Transform
from vizlib.passes.forward import run, traces


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", zoo_cases.ALL)
def test_layers_are_what_a_trace_keeps(name):
    model, x = zoo_cases.model(name), zoo_cases.inputs(name, 2)
    reading = read(model, x)
    assert torch.equal(reading.forward_pass.logits, run(model, x).logits)
    depths = [layer.depth for layer in reading.layers]
    assert depths == sorted(depths)
    assert depths[-1] == 1
    features = [one.features for one in traces(model, x)]
    for index, layer in enumerate(reading.layers):
        # A stage of one block is that block.
        known = next(key for key in features[0] if layer.name == key or layer.name.startswith(f"{key}."))
        assert reading.states[index].shape == (2, layer.grid[0] * layer.grid[1], layer.channels)
        for image in range(2):
            assert torch.equal(reading.maps(index)[image], features[image][known])


def test_stages_of_a_resnet_are_taken_apart():
    model = vizlib.load("resnet_tiny50", checkpoint="random")
    assert [layer.name for layer in read(model, torch.randn(1, 3, 64, 64)).layers][:3] == ["layer1.0", "layer2.0", "layer3.0"]
    names = [layer.name for layer in read(vizlib.load("resnet50", checkpoint="random"), torch.randn(1, 3, 64, 64)).layers]
    assert len(names) == 16
    assert names[3:5] == ["layer2.0", "layer2.1"]


def test_a_model_without_layers_is_refused():
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    with pytest.raises(MethodError, match="cannot be compared"):
        read(vizlib.wrap(module, input_size=(8, 8)), torch.zeros(1, 3, 8, 8))


def layers(*grids, size=(64, 64)):
    return [Layer(str(number), (number + 1) / len(grids), (grid, grid), 4, size) for number, grid in enumerate(grids)]


def test_alignment_by_hand():
    first, second = layers(16, 8, 8, 4), layers(8, 8, 8, 8, 8, 8)
    assert [layer.stride for layer in first] == [4, 8, 8, 16]
    assert aligned("depth", first, second) == [(0, 0), (1, 2), (2, 3), (3, 5)]
    assert aligned("depth", second, first) == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3)]
    assert aligned("stride", second, first) == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]
    cka = np.array([[0.1, 0.9], [0.5, 0.5], [-0.1, 0.0]])
    assert aligned("cka", layers(8, 8, 8), layers(8, 8), cka) == [(0, 1), (1, 0), (2, 1)]
    for way, matrix in (("width", cka), ("cka", None), ("cka", np.full((3, 2), np.nan))):
        with pytest.raises(MethodError):
            aligned(way, layers(8, 8, 8), layers(8, 8), matrix)
    assert set(WAYS) == {"depth", "stride", "cka"}


def test_places_are_the_same_part_of_the_image():
    # A picture whose red is its column and whose green is its row: whatever the model crops, a place reads its own coordinates.
    rows, columns = np.mgrid[0:120, 0:200]
    image = np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)
    transforms = [
        Transform(size=(64, 64), crop_pct=0.875, mean=(0, 0, 0), std=(1 / 255,) * 3),
        Transform((48, 80), 1.0, mean=(0, 0, 0), std=(1 / 255,) * 3),
    ]
    geometries = [one.geometry((120, 200)) for one in transforms]
    box = shared_box(geometries)
    assert box == pytest.approx((7.5, 47.5, 112.5, 152.5), abs=2)
    places = scattered(12, seed=3)
    wanted = np.array(box[:2]) + places * (np.array(box[2:]) - np.array(box[:2]))
    for one, geometry in zip(transforms, geometries, strict=True):
        found = sampled(one.prepare(image), torch.from_numpy(in_input(places, box, geometry))[None])[0]
        assert np.allclose(found[:, [1, 0]].numpy(), wanted - 0.5, atol=2)


def test_places_that_no_two_models_see():
    left, right = (Geometry((10, 40), (10, 10), (1.0, 1.0), (0.0, offset)) for offset in (0.0, -30.0))
    with pytest.raises(MethodError, match="no part of this image in common"):
        shared_box([left, right])
    assert shared_box([left, left]) == (0, 0, 10, 10)


def test_scattered_places():
    places = scattered(16, seed=1)
    assert len(np.unique((places * 4).astype(int) @ [4, 1])) == 16
    assert np.array_equal(places, scattered(16, seed=1))
    assert not np.array_equal(places, scattered(16, seed=2))
    assert scattered(3).shape == (3, 2)
    with pytest.raises(MethodError, match="at least 1"):
        scattered(0)


def test_sampling_by_hand():
    maps = torch.arange(4.0).reshape(1, 1, 2, 2)
    places = torch.tensor([[[0.25, 0.25], [0.25, 0.75], [0.5, 0.5], [0.0, 0.0], [1.0, 0.5]]])
    assert sampled(maps, places)[0, :, 0].tolist() == pytest.approx([0, 1, 1.5, 0, 2.5])
    assert sampled(maps.half(), places).dtype == torch.float32


class TestCorrespondence:
    def test_a_rotation_hides_nothing(self):
        states, anchors = noise(9, 6), noise(40, 6, seed=1)
        turn = torch.linalg.qr(noise(8, 6, seed=2))[0].T  # into a wider space
        order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
        mean = anchors.mean(0)
        first = profiles(states, anchors, mean)
        second = profiles(5 * states[order] @ turn + 3, 5 * anchors @ turn + 3, 5 * mean @ turn + 3)
        assert torch.allclose(second, first[order])
        likeness = torch.from_numpy(correspondence(first.numpy(), second.numpy()))
        assert torch.equal(likeness.argmax(1), order.argsort())
        assert likeness.amax(1).tolist() == pytest.approx([1] * 9)

    def test_is_a_correlation_of_cosines(self):
        states, other, anchors = noise(4, 3), noise(5, 3, seed=5), noise(7, 3, seed=1)
        mean = noise(3, seed=4)
        mine, theirs = (
            np.array([[float(torch.cosine_similarity(one - mean, anchor - mean, dim=0)) for anchor in anchors] for one in some])
            for some in (states, other)
        )
        assert np.allclose(profiles(states, anchors, mean), mine)
        expected = np.corrcoef(mine, theirs)[:4, 4:]
        assert np.allclose(correspondence(profiles(states, anchors, mean).numpy(), profiles(other, anchors, mean).numpy()), expected)
        assert not correspondence(np.ones((2, 3)), np.ones((1, 3))).any()

    def test_what_does_not_belong_together(self):
        with pytest.raises(MethodError, match="not of one layer"):
            profiles(noise(4, 3), noise(4, 2), noise(2))
        with pytest.raises(MethodError, match="the same anchors"):
            correspondence(noise(4, 3).numpy(), noise(4, 2).numpy())
