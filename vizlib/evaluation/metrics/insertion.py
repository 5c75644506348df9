"""Insertion: how soon the answer comes back as a map's highest pixels are given back to an empty image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.metrics.metric import RemovalMetric
from vizlib.evaluation.protocol import PARTS

if TYPE_CHECKING:
    import torch

    from vizlib.evaluation.shared_material import SharedMaterial


def compute(material: SharedMaterial, maps: torch.Tensor) -> torch.Tensor:
    """The area (baselines, M) under the class probability over the share of pixels given back, for maps (M, h, w).

    Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models (2018), https://arxiv.org/abs/1806.07421.
    """
    from vizlib.evaluation.deletion_insertion import area

    return area(material.removal_curves(maps, insert=True))


METRIC = RemovalMetric(
    "insertion",
    "Insertion",
    "The area under the class probability as the map's highest pixels are given back to an empty image, "
    f"in {PARTS} equal parts, the mean over three baselines (mean colour of the data, blur, own mean colour; one that the picture equals "
    "is left out). Higher is better.",
    higher_is_better=True,
    compute=compute,
    insert=True,
    badge="decisive",
    cost=lambda material, explanation: material.removal_cost(insert=True),  # noqa: ARG005  a Cost
)
