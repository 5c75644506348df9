"""Shares, windows with keys of other grids, and ways that part and meet, against whole matrices."""

from __future__ import annotations

import torch

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.branched_flow import Branched, Chain, Meeting, Shares, Way
from vizlib.tracing.token_flow import Attention, Flow
from vizlib.tracing.token_grid import Grid
from vizlib.tracing.windowed_attention import Layout, WindowedSite

GENERATOR = torch.Generator().manual_seed(0)
LOWER, UPPER = Grid(2, 3), Grid(2, 2)


class Rule:
    even = False

    def residual(self, step: Attention) -> float:
        return 0.3

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        return step.site.pull(rows)


def matrix(step: object, target: Grid) -> torch.Tensor:
    """A step's matrix (target, source and sink), read off unit rows."""
    flow = step.pull(Flow.start(torch.eye(target.tokens, dtype=torch.float64)[None]), Rule())
    return torch.cat([flow.rows, flow.sink[..., None]], 2)[0]


def shares() -> tuple[Shares, torch.Tensor]:
    """Shares of (2, 3) by (2, 2), one row without any source, and the dense matrix."""
    sources = torch.tensor([[0, 1, -1], [2, 2, 5], [-1, -1, -1], [3, 4, 5]])
    dense = torch.zeros(4, 6, dtype=torch.float64)
    dense[0, 0] = dense[0, 1] = 1 / 2
    dense[1, 2], dense[1, 5] = 2 / 3, 1 / 3
    dense[3, 3] = dense[3, 4] = dense[3, 5] = 1 / 3
    return Shares.of(LOWER, UPPER, sources), dense


def test_shares_are_rows_of_a_matrix() -> None:
    step, dense = shares()
    found = matrix(step, UPPER)
    assert torch.allclose(found[:, :6], dense)
    assert torch.allclose(found.sum(1), torch.ones(4, dtype=torch.float64))
    assert float(found[2, 6]) == 1
    uneven = Shares.of(Grid(1, 2), Grid(1, 1), torch.tensor([[0, 1]]), torch.tensor([[3.0, 1.0]], dtype=torch.float64))
    assert torch.allclose(matrix(uneven, Grid(1, 1))[0], torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64))


def test_a_chain_is_the_product() -> None:
    first, dense = shares()
    second = Shares.of(Grid(1, 12), LOWER, torch.arange(12).view(6, 2))
    rows = torch.rand(1, 2, 4, dtype=torch.float64, generator=GENERATOR)
    below = torch.zeros(6, 12, dtype=torch.float64)
    below[torch.arange(6).repeat_interleave(2), torch.arange(12)] = 0.5
    chain = Chain((first, second))
    assert (chain.source, chain.target) == (Grid(1, 12), UPPER)
    assert torch.allclose(chain.spread(rows), rows @ dense @ below)


def test_windows_whose_keys_lie_on_another_grid() -> None:
    """Two windows of two queries each on the upper grid; keys on the lower one, some shared, one padding."""
    places, keys = torch.tensor([[3, 0], [1, 2]]), torch.tensor([[0, 4, 5], [4, 2, -1]])
    q, k = (torch.randn(2, 2, count, 4, dtype=torch.float64, generator=GENERATOR) for count in (2, 3))
    layout = Layout(UPPER, places, LOWER, keys)
    site = WindowedSite("a", 0, 0, UPPER, layout.keys, q, k, 0.5, layout=layout)
    weights = ((q * 0.5) @ k.mT).softmax(-1)
    dense = torch.zeros(2, 4, 7, dtype=torch.float64)
    for window in range(2):
        for query in range(2):
            for key in range(3):
                place = int(keys[window, key])
                dense[:, places[window, query], place if place >= 0 else 6] += weights[window, :, query, key]
    assert torch.allclose(matrix(Attention(site, skip=False, layout=layout), UPPER), dense.mean(0))
    whole = site.weights()  # padding stands before the tokens
    assert torch.allclose(whole[..., 1:], dense[..., :6])
    assert torch.allclose(whole[..., 0], dense[..., 6])


def test_ways_that_meet() -> None:
    """0.3 of a skip by shares, 0.7 of an attention over the lower grid, one of whose sums with shares is half and half."""
    step, dense = shares()
    q, k = (torch.randn(1, 2, count, 4, dtype=torch.float64, generator=GENERATOR) for count in (4, 6))
    attention = Attention(AttentionSite("a", 0, 0, UPPER, LOWER, q, k, 0.5), skip=False)
    everywhere = torch.arange(4)
    flow = Branched(
        LOWER,
        UPPER,
        (
            (4, Meeting((Way(1, everywhere), Way(3, everywhere, (attention,))), summed=True), -1),
            (3, Meeting((Way(2, torch.tensor([0, 1, 2, -1])), Way(None, torch.tensor([-1, -1, -1, 0]))), summed=False), -1),
            (2, attention, 0),
            (1, step, 0),
        ),
        {0: 6, 1: 4, 2: 4, 3: 4, 4: 4},
    )
    attended = ((q * 0.5) @ k.mT).softmax(-1).mean(1)[0]
    attended[3] = 0  # a learned token
    expected = 0.3 * dense + 0.7 * attended
    found = matrix(flow, UPPER)
    assert torch.allclose(found[:, :6], expected)
    assert torch.allclose(found.sum(1), torch.ones(4, dtype=torch.float64))
    assert flow.attentions == [attention]


def test_a_sum_of_two_that_do_not_attend_is_half_of_each() -> None:
    step, dense = shares()
    other = Shares.of(LOWER, UPPER, torch.tensor([[0], [1], [2], [3]]))
    everywhere = torch.arange(4)
    flow = Branched(
        LOWER, UPPER, ((3, Meeting((Way(1, everywhere), Way(2, everywhere)), summed=True), -1), (2, step, 0), (1, other, 0)),
        {0: 6, 1: 4, 2: 4, 3: 4},
    )  # fmt: skip
    assert torch.allclose(matrix(flow, UPPER)[:, :6], 0.5 * dense + 0.5 * torch.eye(4, 6, dtype=torch.float64))
