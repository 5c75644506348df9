"""vizlib.analysis.receptive_field.t2t_soft_splits against explicit matrices made from the attention's own weights and from unfolds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vizlib
from vizlib.analysis.receptive_field.t2t_soft_splits import token_rounds
from vizlib.errors import MethodError


def image():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["t2t_tiny50", "t2t_t_tiny50"])
def rounds(request):
    return token_rounds(vizlib.load(request.param, checkpoint="random"), image())


def windows(step):
    """Every window's even shares as one dense matrix (targets, sources)."""
    counts = torch.stack([step.counts(row, column).flatten() for row in range(step.grid[0]) for column in range(step.grid[1])]).double()
    return counts / counts.sum(1, keepdim=True)


def test_rounds_of_the_bundled_model(rounds):
    assert [one.grid for one in rounds.rounds] == [(32, 32), (16, 16), (8, 8)]
    assert [tuple(one.tokens.shape) for one in rounds.rounds] == [(1024, 32), (256, 32), (64, 192)]
    assert [one.site is None for one in rounds.rounds] == [False, False, True]
    assert rounds.rounds[2].reach.size == (64, 64)


def test_lineages_are_the_explicit_product(rounds):
    first, second, third = rounds.rounds
    attention = [one.site.weights()[0].double() for one in (first, second)]
    a1, a2 = (0.5 * one + 0.5 * torch.eye(len(one), dtype=torch.float64) for one in attention)
    u1, u2 = windows(second.step), windows(third.step)
    for turn, expected in enumerate([a1, a2 @ u1 @ a1, u2 @ a2 @ u1 @ a1]):
        made = rounds.lineages(turn)
        assert torch.allclose(made, expected, atol=1e-6)
        assert torch.allclose(made.sum(1), torch.ones(len(made), dtype=torch.float64), atol=1e-9)


def test_without_attention_a_lineage_is_the_receptive_field(rounds):
    third = rounds.rounds[2]
    made = rounds.lineages(2, residual_weight=1.0)
    for index in (0, 27, 63):
        cells = third.step.below(rounds.rounds[1].step).counts(index // 8, index % 8).flatten()
        assert torch.equal(made[index] > 0, cells > 0)


def test_the_tokens_are_those_of_the_forward_pass(rounds):
    split = rounds.forward_pass.model.module.tokens_to_token
    with torch.no_grad():
        last, grid = split(rounds.forward_pass.x)
    assert grid == (8, 8)
    assert torch.equal(last[0], rounds.rounds[2].tokens)


def test_other_models_have_no_rounds():
    with pytest.raises(MethodError, match="soft splits"):
        token_rounds(vizlib.load("cct_tiny50", checkpoint="random"), image())
