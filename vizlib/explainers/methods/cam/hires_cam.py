"""HiRes-CAM (Draelos and Carin 2020): a map times its slopes, place by place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k g_k A_k) at each place of a map A, g_k = d score / d A_k there, for each prepared input (B, 3, h, w).

    Where a linear head reads A itself, or its mean, the places add up to the score but for its bias and for what the relu cuts off. What
    goes through a LayerNorm does not change with its size, so its plain slopes times itself are 0 at each place, and so is the map: the
    default are balanced ones, which in a network of convolutions, frozen batch norms and ReLUs are the plain ones of the paper.
    """
    # 6e-6 in float32 and float64, where a LayerNorm's own eps leaves as much; 0.03 in bfloat16.
    nothing = max(torch.finfo(dtype).eps for dtype in (model.dtype, torch.float32)) ** 0.75
    return cam(model, x, resolve, options, partial(weigh, nothing=nothing))


def weigh(values: torch.Tensor, slopes: torch.Tensor, nothing: float) -> torch.Tensor:
    """Maps (B, cells) of values and slopes (B, cells, C): zero where no sum is more than the share ``nothing`` of what it adds up."""
    products = slopes * values
    sums = products.sum(2)
    cancels = (sums.abs() <= nothing * products.abs().sum(2)).all(1, keepdim=True)
    return sums.clamp_min(0).masked_fill(cancels, 0)
