"""Attention that is written out, followed from its product to its softmax, or not recorded at all."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.recorder import record
from vizlib.tracing.token_grid import Grid


class Explicit(nn.Module):
    """Attention that is written out in steps between the product and the softmax."""

    def __init__(self, between) -> None:
        super().__init__()
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.between(x @ x.transpose(-2, -1)).softmax(-1) @ x


BIAS = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1))
FOLLOWED = {
    "scaled": lambda scores: scores * 0.3,
    "scaled by head": lambda scores: scores * torch.tensor([0.2, 0.7]).view(2, 1, 1),
    "divided": lambda scores: scores / 3,
    "biased and scaled": lambda scores: (scores + BIAS) * 0.5,
    "biased in place": lambda scores: scores.add_(BIAS),
    "reshaped for a mask": lambda scores: (scores.view(2, 3, 2, 5, 5) + BIAS[0] + BIAS.view(2, 1, 1, 5, 5)[:, :, :, :1]).view(-1, 2, 5, 5),
    "bias, then windows": lambda scores: ((scores + BIAS).view(2, 3, 2, 5, 5) + BIAS[:1].expand(3, 5, 5)[:, None]).reshape(6, 2, 5, 5),
    "looked at": lambda scores: scores - 0 * scores.max() if scores.max() > 1e9 else scores,
}
HIDDEN = {
    "filled in place": lambda scores: scores.masked_fill_(BIAS > 0, -1e4),
    "set": lambda scores: scores.__setitem__((..., 0), -9.0) or scores,
    "squashed": lambda scores: scores.tanh(),
    "scaled by key": lambda scores: scores * BIAS[0, 0],
    "added twice over": lambda scores: torch.add(scores, BIAS, alpha=2),
    "squared": lambda scores: scores * scores,
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_written_out_scores_are_followed_to_their_softmax(name: str) -> None:
    x = torch.randn(6, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    module = Explicit(FOLLOWED[name])
    seen = record(lambda: module(x), keep_values=True)
    assert torch.equal(seen.output, module(x))
    site = AttentionSite.of(seen.calls[0], "s", 0, 0, Grid(1, 5), Grid(1, 5))
    assert torch.allclose(site.block_weights(slice(None), slice(None), None) @ x, seen.output, atol=1e-6)


@pytest.mark.parametrize("name", HIDDEN)
def test_scores_that_cannot_be_followed_are_not_recorded(name: str) -> None:
    x = torch.randn(6, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    assert not record(lambda: Explicit(HIDDEN[name])(x)).calls
