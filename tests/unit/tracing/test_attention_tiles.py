"""Row vectors pulled through an attention tile by tile, beside explicit softmax matrices in float64."""

from __future__ import annotations

import pytest
import torch

from vizlib.tracing import attention_gradients, attention_tiles
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.token_grid import Grid

IMAGES, HEADS, QUERIES, KEYS, WIDTH = 2, 3, 35, 20, 8
BUDGETS = [1, 7 * KEYS, HEADS * QUERIES * KEYS, 1 << 20]


def made(*, reach: float = 1.0, bias: torch.Tensor | None = None) -> AttentionSite:
    generator = torch.Generator().manual_seed(0)
    shapes = ((QUERIES, WIDTH), (KEYS, WIDTH), (KEYS, WIDTH), (QUERIES, WIDTH))
    q, k, v, gradient = (torch.randn(IMAGES, HEADS, *shape, generator=generator) for shape in shapes)
    return AttentionSite("a", 0, 0, Grid(5, 7), Grid(4, 5), reach * q, k, WIDTH**-0.5, bias, v, None, gradient)


def explicit(site: AttentionSite) -> torch.Tensor:
    scores = torch.einsum("bhnd,bhmd->bhnm", site.q.double(), site.k.double()) * site.scale
    return (scores if site.bias is None else scores + site.bias).softmax(-1)


def masked() -> torch.Tensor:
    bias = torch.randn(1, HEADS, QUERIES, KEYS, generator=torch.Generator().manual_seed(1))
    return bias.masked_fill(torch.rand(bias.shape, generator=torch.Generator().manual_seed(2)) < 0.4, float("-inf"))


SITES = {
    "calm": lambda: made(),
    "scores in the hundreds": lambda: made(reach=300.0),
    "a bias with a mask": lambda: made(bias=masked()),
    "one bias for all rows": lambda: made(bias=torch.linspace(-60, 60, KEYS)),
    "a mask for each image": lambda: made(bias=torch.cat([masked(), masked().flip(2)])),
}


def shares() -> torch.Tensor:
    rows = torch.rand(IMAGES, 2, QUERIES, generator=torch.Generator().manual_seed(3)).double()
    rows[:, :, ::4] = 0
    rows[:, 1, :20] = 0  # whole tiles carry nothing of one vector
    return rows


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", SITES)
def test_a_pull_is_the_product_with_the_mean_of_the_heads(name: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.tracing.attention_site._CPU_BLOCK", budget)
    site, rows = SITES[name](), shares()
    expected = rows @ explicit(site).mean(1)
    pulled = site.pull(rows)
    # Scores in the hundreds hold five digits after the point in float32.
    assert torch.allclose(pulled, expected, rtol=1e-5 if "hundreds" not in name else 1e-3, atol=1e-8)
    assert torch.allclose(pulled.sum(-1), rows.sum(-1), rtol=1e-14)


def test_only_the_first_of_the_sites_does_without_the_maximum() -> None:
    assert [SITES[name]().carried(None).calm for name in SITES] == [True, False, False, False, False]


def test_a_vector_with_negative_shares_is_pulled_too() -> None:
    site = made()
    rows = torch.randn(IMAGES, 2, QUERIES, generator=torch.Generator().manual_seed(4)).double()
    assert torch.allclose(site.pull(rows), rows @ explicit(site).mean(1), atol=1e-6)


def test_a_vector_that_carries_nothing_gives_nothing() -> None:
    assert not made().pull(torch.zeros(IMAGES, 2, QUERIES).double()).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_pulled_in_float32_or_better(dtype: torch.dtype) -> None:
    site = made()
    cast = AttentionSite("a", 0, 0, site.query_grid, site.key_grid, site.q.to(dtype), site.k.to(dtype), site.scale)
    expected = shares() @ explicit(cast).mean(1)
    assert torch.allclose(cast.pull(shares()), expected, rtol=1e-13 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", SITES)
def test_slopes_times_weights_are_those_of_whole_matrices(name: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.tracing.attention_site._CPU_BLOCK", budget)
    site, rows = SITES[name](), shares()
    weights, slope = explicit(site), torch.einsum("bhnd,bhmd->bhnm", site.gradient.double(), site.v.double())
    tolerance = {"rtol": 1e-4 if "hundreds" not in name else 1e-2, "atol": 1e-6}
    assert torch.allclose(attention_gradients.pull_positive(site, rows), rows @ (weights * slope).relu().mean(1), **tolerance)
    assert torch.allclose(attention_gradients.mean_positive_slopes(site), slope.relu().mean((1, 2)), rtol=1e-5)
    mixed = (weights * slope).mean(1).relu()
    pulled, held = attention_gradients.pull_stochastic(site, rows)
    if "hundreds" not in name:  # there the sign of a row's only weight is a matter of rounding
        assert torch.allclose(pulled, rows @ (mixed / mixed.sum(-1, keepdim=True)), **tolerance)
    assert torch.allclose(pulled.sum(-1) + held.sum(-1), rows.sum(-1), rtol=1e-14)


@pytest.mark.parametrize("budget", BUDGETS)
def test_tiles_cover_every_row_of_every_head_once_and_fit_the_room(budget: int) -> None:
    room = attention_tiles.room(torch.zeros(1), IMAGES * HEADS, QUERIES, KEYS, budget).numel()
    seen = torch.zeros(IMAGES * HEADS, QUERIES)
    for tile in attention_tiles.tiles(IMAGES, HEADS, QUERIES, KEYS, budget):
        for lanes in tile.lanes:
            seen[lanes, tile.rows] += 1
            assert seen[lanes, tile.rows].numel() * KEYS <= room
    assert (seen == 1).all()
