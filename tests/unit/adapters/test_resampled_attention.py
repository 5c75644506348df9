"""Gradient rollout where a residual leads around an attention on a reduced map whose rows are spread over the full one again."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from traced_checks import filled, maps_of

import vizlib


class ReducedAttention(nn.Module):
    """x + up(attention(down(x))) over 4 x 4 pixels, two heads, read by its mean."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.stem, self.qkv, self.up, self.head = nn.Conv2d(3, 8, 1), nn.Linear(8, 24), up, nn.Linear(8, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        down = F.avg_pool2d(x, 2)
        q, k, v = self.qkv(down.flatten(2).mT).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        self.weights = (q @ k.mT / 2).softmax(-1)
        if self.weights.requires_grad:
            self.weights.retain_grad()
        attended = (self.weights @ v).transpose(1, 2).flatten(2).mT.unflatten(2, (2, 2))
        return self.head(F.gelu(x + self.up(attended)).mean((2, 3)))


@pytest.mark.parametrize("up", [nn.Upsample(scale_factor=2), nn.ConvTranspose2d(8, 8, 4, 2, 1)], ids=["nearest", "transposed"])
def test_a_token_keeps_what_it_reads_of_rows_that_do_not_speak(up: nn.Module) -> None:
    module = filled(ReducedAttention(up))
    module.qkv.bias.data[16:] += 1  # values alike, so that all weights of some rows speak against a class
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module(x)[:, 5].sum().backward()
    spoken = (module.weights * module.weights.grad).mean(1).clamp_min(0).detach()
    silent = spoken.sum(-1) == 0
    assert 0 < int(silent.sum()) < silent.numel()
    rows = torch.where(silent[..., None], 0.0, spoken / spoken.sum(-1, keepdim=True).clamp_min(1e-300))
    down = F.avg_pool2d(torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4), 2).flatten(1).T
    cells = torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2)
    if isinstance(up, nn.Upsample):
        above = up(cells).flatten(1).T
    else:
        above = F.conv_transpose2d(cells, torch.ones(1, 1, 4, 4, dtype=torch.float64), None, 2, 1).flatten(1).T
        above = above / above.sum(1, keepdim=True)
    staying = torch.diag_embed((above @ silent.double()[..., None])[..., 0])
    expected = (0.5 * torch.eye(16, dtype=torch.float64) + 0.5 * (above @ rows @ down + staying)).mean(1)
    module.weights = None
    explanations = vizlib.explain(vizlib.wrap(module, input_size=4), x, "gradient_rollout", target=[5, 5])
    assert torch.allclose(maps_of(explanations).flatten(1), expected, atol=1e-12)
