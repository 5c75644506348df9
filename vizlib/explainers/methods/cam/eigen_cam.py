"""Eigen-CAM (Muhammad and Yeasin 2020): the first principal component of a map, whatever the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.parts.weighed_maps import cam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(A v), v the first right singular vector of the map A (cells, C), for each prepared input (B, 3, h, w).

    No class has a say. A singular vector has no sign; the one is taken by which the map has the larger sum.
    """
    return cam(model, x, resolve, options, weigh, any_answer)


def weigh(values: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:  # noqa: ARG001  the map alone says it
    """Maps (B, cells) of values and slopes (B, cells, C)."""
    first = torch.linalg.svd(values, full_matrices=False).Vh[:, :1]
    maps = (values * first).sum(2)
    return (maps * torch.where(maps.sum(1, keepdim=True) < 0, -1.0, 1.0)).clamp_min(0)


def any_answer(_targets: Sequence[Target], answer: torch.Tensor) -> torch.Tensor:
    """Something that depends on whatever the answer is read from."""
    return answer.float().square().sum()
