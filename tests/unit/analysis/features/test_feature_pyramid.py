from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vizlib
from vizlib.analysis.features.feature_pyramid import (
    boundaries,
    channels_for,
    covered,
    edge_ratio,
    energy,
    fused,
    octaves,
    principal,
    scales,
    stage_maps,
)
from vizlib.errors import MethodError
from vizlib.passes.forward import run


def passed(name, size=None):
    model = vizlib.load(name, checkpoint="random")
    size = size or model.card.input_size
    return run(model, torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)), keep_states=True)


@pytest.mark.parametrize(
    ("name", "grids"),
    [
        ("pvt_tiny50", [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]),
        ("cvt_tiny50", [(64, 64), (16, 16), (8, 8), (4, 4)]),
        ("pvt_v2_b0", [(224, 224), (56, 56), (28, 28), (14, 14), (7, 7)]),
        ("vit_tiny50", [(64, 64), (8, 8)]),
    ],
)
def test_scales_and_maps_have_the_grids_of_the_architecture(name, grids):
    done = passed(name)
    assert [one.grid for one in scales(done.lineage(), done.size)] == grids
    assert [tuple(one.shape[1:]) for one in stage_maps(done).values()] == grids[1:]


def test_stage_maps_end_each_stage():
    done = passed("pvt_tiny50")
    assert list(stage_maps(done)) == ["block1.0", "block2.1", "block3.2", "block4.0"]
    last = stage_maps(done)["block4.0"]
    assert torch.equal(last.flatten(1).T, done.states["block4.0"][0, 1:])  # the class token left out
    assert list(stage_maps(passed("resnet_tiny50"))) == ["layer1", "layer2", "layer3", "layer4"]


def test_a_partition_is_covered_by_hand():
    found = scales(passed("pvt_tiny50").lineage(), (64, 64))
    assert covered(found, 4, (1, 2, 2, 3), 0) == (16, 32, 32, 48)
    assert covered(found, 3, (7, 0, 8, 1), 1) == (28, 0, 32, 4)
    assert covered(found, 1, (28, 3, 29, 4), 4) == (3, 0, 4, 1)
    assert covered(found, 2, (5, 6, 6, 7), 2) == (5, 6, 6, 7)
    assert covered(found, 1, (3, 3, 3, 3), 4) == (0, 0, 0, 0)


@pytest.mark.parametrize(("name", "size"), [("cvt_tiny50", (64, 64)), ("cvt_tiny50", (52, 76)), ("pvt_v2_b0", (96, 128))])
def test_overlapping_windows_are_covered_as_gradients_flow(name, size):
    """A chain of convolutions of ones has a gradient where a window reaches, and nowhere else."""
    done = passed(name, size)
    found = scales(done.lineage(), done.size)
    windows = {"cvt_tiny50": [(7, 4, 2), (3, 2, 1), (3, 2, 1)], "pvt_v2_b0": [(7, 4, 3), (3, 2, 1), (3, 2, 1), (3, 2, 1)]}[name]
    generator = np.random.default_rng(3)
    for _ in range(12):
        low, high = sorted(generator.choice(len(found), 2, replace=False))
        x = torch.zeros(1, 1, *found[low].grid, requires_grad=True)
        y = x
        for kernel, stride, padding in windows[low:high]:
            y = F.conv2d(y, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
        assert y.shape[2:] == found[high].grid
        row, column = (int(generator.integers(side)) for side in y.shape[2:])
        (reached,) = torch.autograd.grad(y[0, 0, row, column], x)
        rows, columns = (torch.nonzero(reached[0, 0].sum(axis))[:, 0] for axis in (1, 0))
        box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        assert covered(found, high, (row, column, row + 1, column + 1), low) == box
        inside = (int(rows[0]), int(columns[0]), int(rows[0]) + 1, int(columns[0]) + 1)
        top, left, bottom, right = covered(found, low, inside, high)
        assert top <= row < bottom
        assert left <= column < right


def test_a_pooled_grid_is_refused():
    done = passed("cct_tiny50")
    with pytest.raises(MethodError, match="Routing"):
        scales(done.lineage(), done.size)


def test_energy_by_hand():
    features = torch.tensor([[[3.0, 3.0], [3.0, 3.0]], [[1.0, -1.0], [1.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert energy(features).tolist() == [9.0, 1.0, 0.0]
    assert channels_for(features, 0.9) == 1
    assert channels_for(features, 0.91) == 2
    assert channels_for(features, 1.0) == 2
    assert channels_for(torch.zeros(2, 2, 2)) == 0


def test_octaves_by_hand():
    constant = torch.full((1, 4, 4), 2.0)
    halves = torch.ones(1, 4, 4)
    halves[:, :, 2:] = -1  # blocks of two cells carry it
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1  # single cells carry it
    assert octaves(constant).tolist() == [1.0, 0.0, 0.0]
    assert octaves(halves).tolist() == [0.0, 1.0, 0.0]
    assert octaves(board[None]).tolist() == [0.0, 0.0, 1.0]
    mixed = octaves(torch.cat([constant, halves, board[None]]))
    assert mixed.tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert octaves(torch.zeros(3, 5, 5)).sum() == 0
    assert octaves(torch.ones(2, 1, 1)).tolist() == [1.0]


def test_octaves_are_the_whole_on_any_grid():
    shares = octaves(torch.randn(3, 7, 14, generator=torch.Generator().manual_seed(1)))
    assert len(shares) == 5
    assert float(shares.sum()) == pytest.approx(1, abs=1e-12)
    assert bool((shares >= 0).all())


def test_fused_maps_count_alike():
    maps = [torch.randn(4, 8, 8) * 100 + 7, torch.randn(9, 4, 4), torch.zeros(2, 2, 2)]
    together = fused(maps, (8, 8))
    assert together.shape == (15, 8, 8)
    variance = together.var((1, 2), correction=0)
    assert float(variance[:4].sum()) == pytest.approx(1, abs=1e-5)
    assert float(variance[4:13].sum()) == pytest.approx(1, abs=1e-5)
    assert float(variance[13:].sum()) == 0
    assert torch.allclose(
        together[:4].flatten(),
        ((maps[0] - maps[0].mean((1, 2), keepdim=True)) / maps[0].var((1, 2), correction=0).sum().sqrt()).flatten(),
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_principal_directions_keep_distances(shape):
    cells = (
        torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        @ torch.diag(torch.logspace(1, -3, shape[1])).double()
    )
    whole = principal(cells, 64)
    assert torch.allclose(torch.cdist(whole, whole), torch.cdist(cells, cells), atol=1e-6)
    few = principal(cells, 3)
    values = torch.linalg.svdvals(cells - cells.mean(0))
    assert torch.allclose(few.norm(dim=0), values[:3], rtol=1e-6)


def test_boundaries_by_hand():
    between_rows, between_columns = boundaries(np.array([[0, 0, 1], [0, 2, 1]]))
    assert between_rows.tolist() == [[False, True, False]]
    assert between_columns.tolist() == [[False, True], [True, True]]


def test_edge_ratio_by_hand():
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[:, 8:] = 200
    on, off = np.zeros((4, 4), dtype=int), np.zeros((4, 4), dtype=int)
    on[:, 2:], off[:, 1:] = 1, 1
    assert edge_ratio(on, image) == pytest.approx(8.0)  # all steepness lies on 2 of 16 columns, and so does the boundary
    assert edge_ratio(off, image) == 0.0
    assert math.isnan(edge_ratio(np.zeros((4, 4), dtype=int), image))
    assert math.isnan(edge_ratio(on, np.zeros_like(image)))
