"""Deletion: how soon the answer falls as a map's highest pixels are taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.metrics.metric import RemovalMetric
from vizlib.evaluation.protocol import PARTS

if TYPE_CHECKING:
    import torch

    from vizlib.evaluation.shared_material import SharedMaterial


def compute(material: SharedMaterial, maps: torch.Tensor) -> torch.Tensor:
    """The area (baselines, M) under the class probability over the share of pixels taken away, for maps (M, h, w).

    Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models (2018), https://arxiv.org/abs/1806.07421.
    """
    from vizlib.evaluation.deletion_insertion import area

    return area(material.removal_curves(maps, insert=False))


METRIC = RemovalMetric(
    "deletion",
    "Deletion",
    f"The area under the class probability as the map's highest pixels are taken away, in {PARTS} equal parts, the mean over three "
    "baselines (mean colour of the data, blur, own mean colour; one that the picture equals is left out). Lower is better.",
    higher_is_better=False,
    compute=compute,
    insert=False,
    badge="required",
    cost=lambda material, explanation: material.removal_cost(insert=False),  # noqa: ARG005  a Cost
)
