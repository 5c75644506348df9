"""theoretical_receptive_field against gradients through real unfolds, convolutions and pools, and cases worked by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vizlib.analysis.receptive_field.theoretical_receptive_field import parents, reaches
from vizlib.errors import VizlibError

T2T = [(7, 4, 2), (3, 2, 1), (3, 2, 1)]


def counted(size, windows, row, column):
    """The same counts as the gradient of a chain of unfolds whose windows are summed."""
    x = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    grid, y = size, x
    for kernel, stride, padding in windows:
        grid = tuple((side + 2 * padding - kernel) // stride + 1 for side in grid)
        y = F.unfold(y, kernel, padding=padding, stride=stride).sum(1).reshape(1, 1, *grid)
    y[0, 0, row, column].backward()
    return x.grad[0, 0]


def test_a_window_by_hand():
    step = parents((5, 4), (3, 2, 1))
    assert step.down.tolist() == [[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert step.across.tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]
    assert step.counts(1, 0).tolist() == [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0] * 4]
    assert step.box(1, 0) == (1, 0, 4, 2)
    assert step.overlap()[1].tolist() == [2, 4, 2, 2]


def test_two_overlapping_windows_by_hand():
    # Two windows of 3, stride 1: the classical triangle 1 2 3 2 1.
    top = reaches((9, 9), [(3, 1, 0), (3, 1, 0)])[-1]
    assert top.down[2].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert top.counts(2, 2).sum() == 81


def test_t2ts_own_splits():
    first, second, third = reaches((224, 224), T2T)
    assert [one.grid for one in (first, second, third)] == [(56, 56), (28, 28), (14, 14)]
    assert third.size == (224, 224)
    # 7 pixels, then 2 more steps of 4, then 2 more of 8: 7 + 8 + 16.
    y0, x0, y1, x1 = third.box(6, 6)
    assert (y1 - y0, x1 - x0) == (31, 31)
    assert third.counts(6, 6).sum() == (7 * 3 * 3) ** 2
    assert first.box(0, 0) == (0, 0, 5, 5)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(6, 20), st.integers(6, 20)),
    windows=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=3),
    place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
)
def test_counts_are_gradients_through_unfolds(size, windows, place):
    try:
        top = reaches(size, windows)[-1]
    except VizlibError:
        return
    row, column = (int(share * side) for share, side in zip(place, top.grid, strict=True))
    assert torch.equal(top.counts(row, column).double(), counted(size, windows, row, column))


def test_a_network_reaches_no_further():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, (3, 5), (1, 2), (1, 2), bias=False), torch.nn.AvgPool2d(2, 2), torch.nn.Conv2d(1, 1, 3, 1, 1, bias=False)
    )
    for part in (net[0], net[2]):
        torch.nn.init.ones_(part.weight)
    x = torch.zeros(1, 1, 16, 16, requires_grad=True)
    y = net(x)
    top = reaches((16, 16), [((3, 5), (1, 2), (1, 2)), (2, 2, 0), (3, 1, 1)])[-1]
    assert y.shape[2:] == top.grid
    y[0, 0, 3, 1].backward()
    assert torch.equal(4 * x.grad[0, 0], top.counts(3, 1).float())
    y0, x0, y1, x1 = top.box(3, 1)
    assert not x.grad[0, 0, y1:].any()
    assert not x.grad[0, 0, :y0].any()
    assert not x.grad[0, 0, :, x1:].any()
    assert not x.grad[0, 0, :, :x0].any()


def test_patches_cover_each_pixel_once():
    assert parents((64, 64), (8, 8, 0)).overlap().eq(1).all()


def test_a_grid_without_a_window_is_refused():
    with pytest.raises(VizlibError, match="No window of 7 cells"):
        parents((3, 3), (7, 4, 1))
    with pytest.raises(VizlibError, match="cannot go on"):
        parents((8, 8), (2, 2, 0)).below(parents((8, 8), (4, 4, 0)))
