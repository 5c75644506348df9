"""The score of one metric for one map."""

from __future__ import annotations

from dataclasses import dataclass

from vizlib.evaluation.protocol import SURE


@dataclass(frozen=True)
class Score:
    """``value`` is the mean over baselines, ``low`` and ``high`` its least and most.

    ``percentile`` is the share, 0 to 100, of random smooth maps on the same image that are worse, ``gaussian`` the value of a Gaussian
    around the middle, each None where a map alone cannot be measured. ``good`` says whether the map is better than 95 % of the random
    ones and than the Gaussian, and not the same everywhere; ``higher`` whether more is better; ``definition`` is the exact rule.
    """

    value: float
    low: float
    high: float
    percentile: float | None
    gaussian: float | None
    good: bool | None
    higher: bool
    definition: str

    @property
    def without_order(self) -> bool:
        """Whether this alone keeps it from being good: the map is the same everywhere, and its pixels went in a random order."""
        if self.good is not False or self.percentile is None or self.gaussian is None:
            return False
        return self.percentile >= SURE and (self.value > self.gaussian if self.higher else self.value < self.gaussian)
