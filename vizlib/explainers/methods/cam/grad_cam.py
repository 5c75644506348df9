"""Grad-CAM (Selvaraju et al. 2017) on a last feature map, and the same on a transformer's grid of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k a_k A_k), a_k the mean over places of d score / d A_k, A the last feature map, for each prepared input (B, 3, h, w).

    A transformer's A are the tokens of the last grid whose cells the answer depends on: a class token reads those that enter the last
    block, a mean or a pooling those that leave it. ``layer`` names the part that gives A. MethodError where the answer does not depend on
    the map, and for a layer that gives none, with those that do.
    """
    return cam(model, x, resolve, options, weigh)


def weigh(values: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Maps (B, cells) of values and slopes (B, cells, C)."""
    return (values @ slopes.mean(1)[:, :, None])[:, :, 0].clamp_min(0)
