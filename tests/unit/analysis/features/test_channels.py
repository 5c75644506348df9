"""vizlib.analysis.features.channels against OpenCV's Sobel, numpy's correlation and layers built so that the answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vizlib.analysis.features.channels import SCALINGS, edge_scores, gradients, mark, scaled
from vizlib.errors import VizlibError


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gradients_are_opencvs():
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grey = cv2.cvtColor(image.permute(1, 2, 0).float().numpy(), cv2.COLOR_RGB2GRAY).astype(np.float64)
    x, y = (cv2.Sobel(grey, cv2.CV_64F, *order, ksize=3, borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1)))
    expected = [np.maximum(one, 0).reshape(6, 4, 8, 4).mean((1, 3)) for one in (x, -x, y, -y)]
    assert np.allclose(gradients(image, (6, 8)), expected, atol=1e-5)
    assert gradients(torch.full((3, 16, 16), 0.4), (4, 4)).eq(0).all()


def test_a_step_has_an_edge_where_it_steps():
    image = torch.zeros(3, 8, 8)
    image[:, :, 4:] = 1
    right, *others = gradients(image, (8, 8))
    assert right[:, [0, 1, 2, 5, 6, 7]].eq(0).all()
    assert torch.allclose(right[:, 3:5], torch.full((8, 2), 4.0, dtype=torch.float64))
    assert all(one.eq(0).all() for one in others)


def test_scores_are_multiple_correlations():
    maps, edges = noise(5, 6, 7), noise(4, 6, 7, seed=1)
    design = np.stack([np.ones(42), *edges.numpy().reshape(4, -1)], 1)
    for one, score in zip(maps.numpy().reshape(5, -1), edge_scores(maps, edges), strict=True):
        fitted = design @ np.linalg.lstsq(design, one, rcond=None)[0]
        assert score == pytest.approx(np.corrcoef(one, fitted)[0, 1], abs=1e-9)
    alone = [abs(np.corrcoef(one.flatten(), edges[0].flatten())[0, 1]) for one in maps.numpy()]
    assert np.allclose(edge_scores(maps, edges[:1]), alone)
    built = torch.stack([edges[0] * 3 + 2 - edges[2], -edges[1], torch.full((6, 7), 0.1)])
    assert edge_scores(built, edges).tolist() == pytest.approx([1, 1, 0])
    assert edge_scores(maps, torch.ones(4, 6, 7)).eq(0).all()
    with pytest.raises(VizlibError, match="cannot be compared"):
        edge_scores(maps, noise(4, 7, 6))


def test_dead_and_exploding_channels_are_found_whatever_they_show():
    edges = noise(1, 8, 8, seed=9)
    maps = noise(20, 8, 8, seed=2)
    maps[3] = 0
    maps[4] = 5 + 1e-5 * noise(8, 8, seed=3)
    maps[5] *= 1e4
    maps[6] = 1e5 * edges[0]
    marks = mark(maps)
    found = {name: torch.nonzero(getattr(marks, name)).flatten().tolist() for name in ("dead", "exploding")}
    assert found == {"dead": [3, 4], "exploding": [5, 6]}
    assert edge_scores(maps, edges)[6] == pytest.approx(1)


def test_alike_channels_are_unmarked_whatever_their_size():
    maps = noise(12, 8, 8, seed=5)
    for factor in (1e-3, 1.0, 1e6):
        marks = mark(maps * factor)
        assert not (marks.dead | marks.exploding).any()
    marks = mark(torch.zeros(4, 8, 8))
    assert marks.dead.all()
    assert not marks.exploding.any()


def test_twice_the_median_is_no_explosion():
    maps = noise(1, 8, 8).expand(9, 8, 8).clone()
    maps[2] *= 2
    assert not mark(maps).exploding.any()


def test_scalings_by_hand():
    maps = torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[-8.0, -8.0], [-8.0, -8.0]]])
    assert scaled(maps, "channel").flatten().tolist() == [0, 0.25, 0.5, 1, 0.5, 0.5, 0.5, 0.5]
    assert scaled(maps, "layer").flatten().tolist() == [0.5, 0.5625, 0.625, 0.75, 0, 0, 0, 0]
    one = torch.tensor([[[-1.0, 0.0, 1.0, 100.0, 0.5]]])
    made = scaled(one, "robust").flatten()
    assert made[4] == 0.5
    assert made[3] == 1
    assert made[0] == pytest.approx(0.5 - 1.5 / (2 * 3 * 1.4826 * 0.5))
    assert all(scaled(torch.zeros(2, 3, 3), how).eq(0.5).all() for how in SCALINGS)
    with pytest.raises(VizlibError, match="no scaling"):
        scaled(maps, "rainbow")
