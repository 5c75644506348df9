"""Grad-CAM++ (Chattopadhay et al. 2018): weights that several places of one class share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k a_k A_k), a_k the sum over places of relu(g_k) g_k^2 / (2 g_k^2 + S_k g_k^3), for each prepared input (B, 3, h, w).

    g_k = d score / d A_k, S_k the sum of A_k over places, as the paper has them for the exponential of the score, whose own factor is left
    out. A place without a slope has no weight.
    """
    return cam(model, x, resolve, options, weigh)


def weigh(values: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Maps (B, cells) of values and slopes (B, cells, C)."""
    squares = slopes.square()
    shares = 2 * squares + values.sum(1, keepdim=True) * squares * slopes
    alphas = torch.where(shares != 0, squares / torch.where(shares != 0, shares, 1.0), 0.0)
    weights = (alphas * slopes.clamp_min(0)).sum(1)
    return (values @ weights[:, :, None])[:, :, 0].clamp_min(0)
