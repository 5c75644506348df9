"""Sensitivity-n: whether a map's sums predict how far the score drops when random parts of the image are taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.metrics.metric import MapMetric
from vizlib.evaluation.protocol import CELLS, SUBSET_SIZES, SUBSETS_PER_SIZE

if TYPE_CHECKING:
    import torch

    from vizlib.evaluation.shared_material import SharedMaterial


def sensitivity_n(sums: torch.Tensor, drops: torch.Tensor, per_size: int) -> torch.Tensor:
    """Pearson's correlation of sums (M, S) with drops (S,) within the ``per_size`` subsets of one size, the mean over sizes: (M,).

    Ancona et al., Towards better understanding of gradient-based attribution methods (2018), https://arxiv.org/abs/1711.06104. A map
    whose sums are all the same predicts nothing and has 0.
    """
    import torch

    predicted, actual = sums.unflatten(1, (-1, per_size)), drops.unflatten(0, (-1, per_size))
    predicted, actual = predicted - predicted.mean(-1, keepdim=True), actual - actual.mean(-1, keepdim=True)
    spread = predicted.norm(dim=-1) * actual.norm(dim=-1)
    return torch.where(spread > 0, (predicted * actual).sum(-1) / spread.clamp_min(1e-300), 0.0).mean(-1)


def compute(material: SharedMaterial, maps: torch.Tensor) -> torch.Tensor:
    """Sensitivity-n (baselines, M) of maps (M, h, w)."""
    import torch

    sums = material.subset_sums(maps)
    return torch.stack([sensitivity_n(sums, drops, SUBSETS_PER_SIZE) for drops in material.subset_drops()])


METRIC = MapMetric(
    "sensitivity_n",
    "Sensitivity-n",
    f"The correlation of the map's sum over random cells of an {CELLS} x {CELLS} grid with how far the score falls "
    f"without them, {SUBSETS_PER_SIZE} subsets each of {', '.join(map(str, SUBSET_SIZES))} cells. Higher is better.",
    higher_is_better=True,
    compute=compute,
    badge="decisive",
    cost=lambda material, explanation: material.subset_cost(),  # noqa: ARG005  a Cost
)
