"""What hiding parts of a photograph takes from the model's answer, and how well a map says so beside random maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vizlib.evaluation.metrics.sensitivity_n import sensitivity_n
from vizlib.evaluation.protocol import SUBSETS_PER_SIZE
from vizlib.evaluation.random_subsets import subset_sums


@dataclass(frozen=True, eq=False)
class HiddenCells:
    """What hiding each of ``subsets`` (S, CELLS, CELLS) takes from the logit: ``drops`` (baselines, S).

    ``random`` (n,) float64 is sensitivity-n of random smooth maps, which know nothing of the picture.
    """

    subsets: torch.Tensor
    drops: torch.Tensor
    random: torch.Tensor

    def correlation(self, values: torch.Tensor) -> float:
        """Sensitivity-n of a map (h, w), the mean over the baselines; NaN counts as zero."""
        sums = subset_sums(torch.nan_to_num(values.double(), nan=0.0)[None], self.subsets)
        return float(torch.stack([sensitivity_n(sums, drops, SUBSETS_PER_SIZE) for drops in self.drops]).mean())

    def share_beaten(self, values: torch.Tensor) -> float:
        """The share of the random maps that predict the drops worse than a map (h, w), 0 to 1; one that is as good counts half."""
        own = self.correlation(values)
        return float((self.random < own).double().mean() + (self.random == own).double().mean() / 2)
