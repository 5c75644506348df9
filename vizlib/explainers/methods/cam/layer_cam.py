"""Layer-CAM (Jiang et al. 2021): every place of a map has weights of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k relu(g_k) A_k) at each place of a map A, g_k = d score / d A_k there, for each prepared input (B, 3, h, w)."""
    return cam(model, x, resolve, options, weigh)


def weigh(values: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Maps (B, cells) of values and slopes (B, cells, C)."""
    return (slopes.clamp_min(0) * values).sum(2).clamp_min(0)
