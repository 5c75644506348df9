"""The integral of a score's slopes on a straight way between two inputs, by Gauss and Legendre's rule, a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.explainers.scorer import checked_scores
from vizlib.tracing.slopes import slope_at

if TYPE_CHECKING:
    from vizlib.explainers.scorer import TargetScorer


def path_integral(scorer: TargetScorer, start: torch.Tensor, steps: int) -> torch.Tensor:
    """(x - start) times the mean slope of the score from ``start`` to x, both (1, C, h, w): (1, C, h, w) float64.

    Memory is that of one batch, however many steps there are. TargetError and MethodError where there is no slope.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    alphas = torch.as_tensor((1 + places) / 2, dtype=scorer.x.dtype, device=scorer.x.device).view(-1, 1, 1, 1)
    shares = torch.as_tensor(weights / 2, device=scorer.x.device).to(torch.float64)
    difference = scorer.x - start
    total = torch.zeros_like(scorer.x, dtype=torch.float64)
    batch = scorer.batch_size(gradients=True)
    for first in range(0, steps, batch):
        points = (start + alphas[first : first + batch] * difference).requires_grad_()
        scores = scorer.scores(points) if first else checked_scores(scorer, points)
        slopes = slope_at(scores.sum(), points)
        total += torch.einsum("nchw,n->chw", slopes.double(), shares[first : first + batch])
    return total * difference.double()
