from __future__ import annotations

import numpy as np
import torch

from vizlib.analysis.attention.query_key_embedding import normalised, query_key_plane, query_key_planes


def vectors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    queries = 3 * torch.randn(20, 6, generator=generator) + torch.arange(6.0)
    keys = 0.2 * torch.randn(31, 6, generator=generator) - 4
    return queries.double(), keys.double()


def test_normalising_leaves_the_attention_as_it_is():
    queries, keys = vectors()
    q, k = normalised(queries, keys)
    torch.testing.assert_close(torch.softmax(q @ k.T, 1), torch.softmax(queries @ keys.T, 1), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(q.mean(0), k.mean(0))
    torch.testing.assert_close(q.norm(dim=1).mean(), (k - k.mean(0)).norm(dim=1).mean())


def test_the_plane_is_that_of_the_covariance():
    queries, keys = vectors()
    plane = query_key_plane(queries, keys)
    points = torch.cat(normalised(queries, keys)).numpy()
    values, directions = np.linalg.eigh(np.cov(points.T))
    expected = (points - points.mean(0)) @ directions[:, ::-1][:, :2]
    found = torch.cat([plane.queries, plane.keys]).numpy()
    assert np.allclose(np.abs(found), np.abs(expected))  # an axis may point either way
    pairs = [(-((a - b) ** 2).sum(), x @ y) for a, x in zip(found[:20], points[:20]) for b, y in zip(found[20:], points[20:])]  # noqa: B905
    assert np.isclose(plane.correlation, np.corrcoef(np.array(pairs).T)[0, 1])
    assert np.allclose(plane.shares.numpy(), values[::-1][:2] / values.sum())


def test_pictures_share_one_plane_and_only_what_meets_is_correlated():
    parts = [vectors(0), vectors(1)]
    planes = query_key_planes(parts)
    queries, keys = (torch.cat(sides) for sides in zip(*parts, strict=True))
    together = query_key_plane(queries, keys)
    torch.testing.assert_close(torch.cat([plane.queries for plane in planes]), together.queries)
    torch.testing.assert_close(torch.cat([plane.keys for plane in planes]), together.keys)
    q, k = (side.numpy() for side in normalised(queries, keys))
    pairs = []
    for number, plane in enumerate(planes):
        for i, a in enumerate(plane.queries.numpy()):
            for j, b in enumerate(plane.keys.numpy()):
                pairs.append((-((a - b) ** 2).sum(), q[20 * number + i] @ k[31 * number + j]))
    assert planes[0].correlation == planes[1].correlation
    assert np.isclose(planes[0].correlation, np.corrcoef(np.array(pairs).T)[0, 1])


def test_tokens_that_are_all_alike_lie_in_one_point():
    plane = query_key_plane(torch.zeros(3, 4), torch.zeros(5, 4))
    assert plane.queries.abs().max() == 0
    assert plane.shares.tolist() == [0, 0]
    assert np.isnan(plane.correlation)
