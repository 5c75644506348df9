"""Positive and negative perturbation of Chefer, Gur and Wolf (2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.published.protocol import PublishedProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vizlib.zoo.model import Model

STEPS = 10  # 0, 10, ... 90 % of the pixels


def compute(model: Model, x: torch.Tensor, label: int, maps: Mapping[str, torch.Tensor]) -> list[float]:
    """100 times the area under top-1 hits over 0 to 0.9 of the pixels black: highest first, then lowest first, for each map (h, w).

    Chefer, Gur and Wolf, Transformer Interpretability Beyond Attention Visualization (2021), https://arxiv.org/abs/2012.09838.
    """
    import torch

    from vizlib.evaluation.published.exchanged_pixels import exchange_highest, logits_of
    from vizlib.explainers.parts.baselines import baseline

    black, areas = baseline(model, x, "black"), []
    for sign in (1, -1):
        for values in maps.values():
            counts = [int(values.numel() * step / STEPS) for step in range(STEPS)]
            hits = logits_of(model, exchange_highest(x, black, sign * values, counts)).argmax(1) == label
            areas.append(100 * float(torch.trapezoid(hits.double(), dx=1 / STEPS)))
    return areas


PROTOCOL = PublishedProtocol(
    "chefer2021",
    "Perturbation AUC",
    "Chefer, Gur and Wolf, Transformer Interpretability Beyond Attention Visualization (2021)",
    "https://arxiv.org/abs/2012.09838",
    "100 times the area under the share of right answers over 0, 10, ... 90 % of the pixels made black, by trapezia, so that 90 is the "
    "most: highest pixels first (positive, lower is better) or lowest first (negative, higher is better), by the map of the predicted "
    "class or of the label.",
    {"positive, predicted": False, "positive, target": False, "negative, predicted": True, "negative, target": True},
    ("predicted", "target"),
    compute,
)
