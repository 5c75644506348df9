"""ROAD: how much sooner the answer falls when a map's highest pixels go than when its lowest do, with no trace of where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation import protocol
from vizlib.evaluation.metrics.metric import MapMetric
from vizlib.evaluation.protocol import ROAD_SHARES

if TYPE_CHECKING:
    import torch

    from vizlib.evaluation.shared_material import SharedMaterial
    from vizlib.explainers.explanation import Explanation

NAME = "road"


def compute(material: SharedMaterial, maps: torch.Tensor) -> torch.Tensor:
    """The mean (1, M) over shares of P(lowest pixels gone) - P(highest pixels gone), -1 to 1, for maps (M, h, w).

    Both orders of Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods (2022),
    https://arxiv.org/abs/2202.00449, with the probability of one picture's class where the paper has the accuracy over a data set.
    """
    import torch

    from vizlib.evaluation.deletion_insertion import pixel_ranks
    from vizlib.evaluation.linear_imputation import noisy_linear_imputation

    x, batch = material.scorer.x, material.scorer.batch_size(gradients=False)
    places = pixel_ranks(maps).unflatten(1, maps.shape[1:])
    pixels = maps[0].numel()
    counts = [round(share * pixels) for share in ROAD_SHARES]
    values = []
    for of_map in places:
        hidden = torch.stack([of_map >= pixels - count for count in counts] + [of_map < count for count in counts])
        images = noisy_linear_imputation(x, hidden)
        lowest_gone, highest_gone = torch.cat([material.probability(some) for some in images.split(batch)]).unflatten(0, (2, -1))
        values.append((lowest_gone - highest_gone).mean())
    return torch.stack(values)[None]


def cost(material: SharedMaterial, explanation: Explanation) -> dict[str, float]:  # noqa: ARG001  a Cost
    """The images with pixels imputed."""
    maps = 1 if NAME in material.control_values else 2 + protocol.RANDOM_MAPS
    return {"imputed": 2.0 * len(ROAD_SHARES) * maps}


METRIC = MapMetric(
    NAME,
    "ROAD",
    "The class probability without the map's lowest pixels less that without its highest, the mean over "
    f"{', '.join(f'{100 * share:g}' for share in ROAD_SHARES)} % of the pixels; those that go become the mean of their neighbours, "
    "with noise. Higher is better.",
    higher_is_better=True,
    compute=compute,
    badge="apart",  # its linear systems take longer than all else together
    cost=cost,
)
