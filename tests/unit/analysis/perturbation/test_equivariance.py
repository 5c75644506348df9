"""vizlib.analysis.perturbation.equivariance against maps that move along exactly, and cases worked by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vizlib.analysis.perturbation.equivariance import feature_drift, map_drift, shifted
from vizlib.errors import VizlibError


def image(width=32):
    return torch.rand(1, 3, 8, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_shift_by_hand():
    x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    assert shifted(x, 2).flatten().tolist() == [1, 1, 1, 2]
    assert shifted(x, 0) is x
    with pytest.raises(VizlibError, match="cannot be moved"):
        shifted(x, 4)


def test_a_convolution_moves_along_exactly():
    kernel = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = map_drift(lambda x: F.conv2d(x, kernel, padding=1), image(), range(6), stride=1, reach=1)
    assert made.abs().max() < 1e-12


def test_patches_move_along_at_whole_patches_only():
    kernel = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = map_drift(lambda x: F.conv2d(x, kernel, stride=4), image(), range(9), stride=4)
    assert made[[0, 4, 8]].abs().max() < 1e-12
    assert made[[1, 2, 3, 5, 6, 7]].min() > 0.3


def test_means_over_a_ramp_move_along_between_cells_too():
    # Linear interpolation between cells is exact where the picture is a ramp.
    ramp = torch.arange(32.0, dtype=torch.float64).expand(1, 3, 8, 32)
    made = map_drift(lambda x: F.avg_pool2d(x, 4), ramp, range(5), stride=4, reach=4)
    assert made.max() < 1e-12


def test_a_drift_by_hand():
    # One row of 4 cells, moved by half a cell: f(Sx) reads 1 in the third cell where half of 0 and half of 4 is expected.
    still, moved = torch.tensor([0.0, 4.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 1.0, 0.0])
    maps = lambda x: torch.stack([moved if one[0, 0, 0] == one[0, 0, 1] else still for one in x])[:, None, None]  # noqa: E731
    x = torch.arange(8.0).expand(1, 3, 1, 8)
    made = map_drift(maps, x, [1], stride=2)
    size = ((4 - 1) ** 2 + 1 + 1) ** 0.5
    assert made.item() == pytest.approx(1 / size)


def test_features_by_cosine():
    x = torch.arange(8.0).expand(1, 3, 1, 8)
    made = feature_drift(lambda x: torch.stack([x[:, 0, 0, 0], x[:, 0, 0, -1]], 1), x + 1, [0, 3])
    first, second = torch.tensor([1.0, 8.0]), torch.tensor([1.0, 5.0])
    assert made.tolist() == pytest.approx([0, 1 - float(first @ second / first.norm() / second.norm())], abs=1e-7)


def test_too_far_is_refused():
    with pytest.raises(VizlibError, match="no cell"):
        map_drift(lambda x: F.avg_pool2d(x, 8), image(), [24], stride=8, reach=8)
