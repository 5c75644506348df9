"""Exact Shapley values from all coalitions."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def shapley(players: int, worth: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (worth(S and i) - worth(S)), for n ``players``: (n,) float64.

    ``worth`` gives a number (c,) for each coalition of a bool (c, n). All 2^n are asked. Shapley, A Value for n-Person Games (1953).
    """
    coalitions = (torch.arange(2**players)[:, None] >> torch.arange(players)) % 2 == 1
    worths = worth(coalitions).to(torch.float64)
    numbers, size = torch.arange(2**players), coalitions.sum(1)
    weight = torch.tensor([1 / (players * comb(players - 1, count)) if count < players else 0.0 for count in range(players + 1)]).double()
    values = []
    for player in range(players):
        without = numbers[~coalitions[:, player]]
        gain = worths[without + 2**player] - worths[without]
        values.append((weight[size[without]] * gain).sum())
    return torch.stack(values)
