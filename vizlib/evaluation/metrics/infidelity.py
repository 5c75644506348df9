"""Infidelity: how much of the drops of the score a map's sums leave over, at their best scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.metrics.metric import MapMetric

if TYPE_CHECKING:
    import torch

    from vizlib.evaluation.shared_material import SharedMaterial


def infidelity(sums: torch.Tensor, drops: torch.Tensor) -> torch.Tensor:
    """min over b of E[(b sum - drop)^2] / E[drop^2] for sums (M, S) and drops (S,): 0 is perfect, 1 is what a map of zeros has, (M,).

    Yeh et al., On the (In)fidelity and Sensitivity of Explanations (2019), https://arxiv.org/abs/1901.09392, for the perturbation that
    takes cells away, with their optimal scale. A scale below zero is none: a map that predicts the opposite has 1.
    """
    import torch

    product, power = (sums * drops).sum(-1), (sums * sums).sum(-1)
    scale = torch.where(power > 0, product / power.clamp_min(1e-300), 0.0).clamp_min(0)
    error = (scale[:, None] * sums - drops).square().mean(-1)
    return error / drops.square().mean().clamp_min(1e-300)


def compute(material: SharedMaterial, maps: torch.Tensor) -> torch.Tensor:
    """The infidelity (baselines, M) of maps (M, h, w)."""
    import torch

    sums = material.subset_sums(maps)
    return torch.stack([infidelity(sums, drops) for drops in material.subset_drops()])


METRIC = MapMetric(
    "infidelity",
    "Infidelity",
    "What the map's sum over random cells, at its best scale, leaves of how far the score falls without them: its mean square over that of "
    "the fall. 0 is perfect, 1 predicts nothing. Lower is better.",
    higher_is_better=False,
    compute=compute,
    cost=lambda material, explanation: material.subset_cost(),  # noqa: ARG005  a Cost
)
