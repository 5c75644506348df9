from __future__ import annotations

import torch
import torch.nn.functional as F

from vizlib.analysis.features.patch_similarity import patch_similarity


def test_each_cosine_is_that_of_its_two_cells():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 2, 3, generator=generator), torch.randn(5, 4, 2, generator=generator)
    similarity = patch_similarity(first, second)
    assert similarity.shape == (6, 8)
    for y in range(2):
        for x in range(3):
            for v in range(4):
                for u in range(2):
                    alone = F.cosine_similarity(first[:, y, x].double(), second[:, v, u].double(), dim=0)
                    torch.testing.assert_close(similarity[3 * y + x, 2 * v + u], alone)


def test_a_cell_of_zeros_is_like_none():
    assert patch_similarity(torch.zeros(3, 1, 1), torch.ones(3, 2, 2)).tolist() == [[0.0] * 4]


def test_beside_itself_every_cell_is_most_like_itself():
    features = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(1))
    same = patch_similarity(features, features)
    torch.testing.assert_close(same.diagonal(), torch.ones(len(same), dtype=torch.float64))
    assert torch.equal(same.argmax(1), torch.arange(len(same)))
    torch.testing.assert_close(same, same.T)
    moved = patch_similarity(features, features.roll(1, dims=2))
    assert torch.equal(moved.argmax(1).reshape(3, 4), _moved(3, 4))


def _moved(height, width):
    return torch.tensor([[width * y + (x + 1) % width for x in range(width)] for y in range(height)])
