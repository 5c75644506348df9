"""HiRes-CAM (Draelos and Carin 2020): a map times its slopes, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k g_k A_k) at each place of a map A, g_k = d score / d A_k there, for each prepared input (B, 3, h, w).

    Where a linear head reads A itself, or its mean, the places add up to the score but for its bias and for what the relu cuts off. What
    goes through a LayerNorm does not change with its size, so its plain slopes times itself are 0 at each place: the default are balanced
    ones, which in a network of convolutions, frozen batch norms and ReLUs are the plain ones of the paper.
    """
    return cam(model, x, resolve, options, weigh)


def weigh(values: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Maps (B, cells) of values and slopes (B, cells, C)."""
    return (slopes * values).sum(2).clamp_min(0)
