"""vizlib.analysis.features.token_maps against cases worked by hand, numpy's SVD and scipy's distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizlib.analysis.features.token_maps import cosine_map, kmeans_map, norm_map, pca_rgb
from vizlib.errors import VizlibError


def tokens(count, width, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_norms_row_by_row():
    made = norm_map(torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [6.0, 8.0], [0.0, 1.0]]), (2, 3))
    assert made.tolist() == [[5, 0, 1], [2, 10, 1]]
    assert made.dtype == torch.float64


def test_cosines():
    made = cosine_map(torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), 0)
    assert made.tolist() == pytest.approx([1, 0, -1, 2**-0.5, 0], abs=1e-15)
    assert cosine_map(torch.zeros(3, 2), 1).tolist() == [0, 0, 0]


def by_svd(points, basis_of):
    """What pca_rgb promises, from numpy's SVD of the matrix itself."""
    mean = basis_of.mean(0)
    _, _, rows = np.linalg.svd(basis_of - mean, full_matrices=False)
    rows = rows[:3] * np.sign(rows[:3][np.arange(3), np.abs(rows[:3]).argmax(1)])[:, None]
    return (points - mean) @ rows.T


def scaled(place, low, high):
    return np.clip((place - low) / (high - low), 0, 1)


def test_colours_are_the_first_three_components():
    points = tokens(40, 9).numpy() * np.linspace(5, 1, 9)
    place = by_svd(points, points)
    expected = scaled(place, np.quantile(place, 0.01, axis=0), np.quantile(place, 0.99, axis=0))
    (made,) = pca_rgb(torch.from_numpy(points), shared=False)
    assert np.allclose(made, expected, atol=1e-12)


def test_a_shared_basis_counts_each_set_once():
    few, many = tokens(30, 6, 1).numpy() * np.linspace(4, 1, 6), tokens(30, 6, 2).numpy() * np.linspace(4, 1, 6)
    # Tokens repeated four times change a set's own weight in a plain stack, and must not here.
    repeated = np.repeat(many, 4, axis=0)
    places = [by_svd(points, np.concatenate([few, many])) for points in (few, repeated)]
    low = np.min([np.quantile(place, 0.01, axis=0) for place in places], axis=0)
    high = np.max([np.quantile(place, 0.99, axis=0) for place in places], axis=0)
    made = pca_rgb([torch.from_numpy(few), torch.from_numpy(repeated)], shared=True)
    assert all(np.allclose(one, scaled(place, low, high), atol=1e-12) for one, place in zip(made, places, strict=True))
    alone = pca_rgb([torch.from_numpy(few), torch.from_numpy(repeated)], shared=False)
    assert not torch.allclose(alone[0], made[0])


def test_colours_do_not_depend_on_the_order_of_tokens():
    points, order = tokens(25, 5, 3), torch.randperm(25, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(pca_rgb(points)[0][order], pca_rgb(points[order])[0], atol=1e-12)


def test_directions_without_variance_are_grey():
    line = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    (made,) = pca_rgb(line)
    assert made[:, 1:].eq(0.5).all()
    assert made[0, 0] == 0
    assert made[2, 0] == 1
    assert pca_rgb(torch.full((4, 7), 1e6))[0].eq(0.5).all()
    assert pca_rgb(torch.ones(1, 4))[0].eq(0.5).all()


def test_widths_that_differ_share_nothing():
    sets = [tokens(5, 3), tokens(5, 4)]
    assert [one.shape for one in pca_rgb(sets, shared=False)] == [(5, 3), (5, 3)]
    with pytest.raises(VizlibError, match="widths 3, 4"):
        pca_rgb(sets, shared=True)


def test_groups_by_size():
    groups = torch.cat([tokens(count, 3, count) * 0.1 + place for count, place in ((4, 0.0), (9, 20.0), (6, -20.0))])
    assert kmeans_map(groups, 3).tolist() == [2] * 4 + [0] * 9 + [1] * 6


def test_every_token_is_in_its_nearest_group():
    points = tokens(200, 4, 5)
    labels = kmeans_map(points, 5)
    sizes = labels.bincount(minlength=5)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    centres = torch.stack([points[labels == label].mean(0) for label in range(5)])
    assert (torch.cdist(points, centres).argmin(1) == labels).float().mean() > 0.97


def test_groups_are_the_same_each_time_and_leave_the_global_state():
    np.random.seed(3)  # noqa: NPY002  the state that must stay
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert torch.equal(kmeans_map(tokens(50, 4), 4, seed=7), kmeans_map(tokens(50, 4), 4, seed=7))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_fewer_distinct_tokens_than_groups():
    assert kmeans_map(torch.ones(6, 3), 4).tolist() == [0] * 6
    assert sorted(set(kmeans_map(torch.tensor([[0.0], [0.0], [5.0]]), 8).tolist())) == [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: norm_map(torch.ones(5, 2), (2, 3)),
        lambda: norm_map(torch.ones(2, 3, 4), (2, 3)),
        lambda: cosine_map(torch.ones(5, 2), 5),
        lambda: kmeans_map(torch.ones(5, 2), 0),
        lambda: kmeans_map(torch.full((5, 2), float("nan")), 2),
        lambda: pca_rgb(torch.zeros(0, 3)),
    ],
)
def test_what_cannot_be_drawn_is_refused(call):
    with pytest.raises(VizlibError):
        call()
