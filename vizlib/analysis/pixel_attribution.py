"""What each pixel adds to a model's log-probability, and to the difference of two: arrays, read without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.errors import MethodError
from vizlib.figures.numbers import signed

DOUBTFUL = 0.5  # of a difference, from which on a completeness gap is as large as what it leaves over
NOTHING = 0.005  # of log p: what is below reads as none
BASELINES = {"grey": "an even middle grey", "black": "black", "blur": "the image blurred by a tenth of its short side"}
SETS = ("neither", "both", "only the first", "only the second")


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each pixel adds to log p(c) of one model: ``map`` (H, W) float64, the sum over colours.

    ``score`` is log p(c) of the image and ``base`` that of the baseline, so that map.sum() is score - base up to ``gap``.
    """

    map: np.ndarray
    score: float
    base: float

    @property
    def gap(self) -> float:
        """map.sum() - (score - base): what the integral's finite steps leave over."""
        return float(self.map.sum()) - (self.score - self.base)


@dataclass(frozen=True, eq=False)
class Difference:
    """Why log p_A(c) - log p_B(c) is what it is: the attributions of both to one image, against one baseline."""

    first: Attribution
    second: Attribution
    target: int
    label: str

    @property
    def map(self) -> np.ndarray:
        """(H, W) float64: positive where a pixel speaks for the class more in the first model than in the second."""
        return self.first.map - self.second.map

    @property
    def score(self) -> float:
        """log p_A(c) - log p_B(c) of the image."""
        return self.first.score - self.second.score

    @property
    def base(self) -> float:
        """The same of the baseline."""
        return self.first.base - self.second.base

    @property
    def gap(self) -> float:
        """The completeness gap of the difference: map.sum() - (score - base)."""
        return self.first.gap - self.second.gap

    @property
    def doubts(self) -> list[str]:
        """Why the map does not say why the models differ, a sentence each: none where it may.

        The gap counts from ``DOUBTFUL`` of what the map has to explain on, and the baseline where it makes more of the difference than
        the picture does.
        """
        change = self.score - self.base
        if max(abs(self.score), abs(self.base), abs(change), abs(self.gap)) < NOTHING:
            return ["Both models are equally sure of it, here and for the baseline: there is no difference to explain."]
        doubts = []
        if abs(self.gap) >= DOUBTFUL * min(abs(change), abs(self.score)):
            doubts.append(
                f"The completeness gap ({signed(self.gap)}) is at least half as large as what the map is to explain: the change "
                f"of {signed(change)} from the baseline to the picture, or the difference of {signed(self.score)}. More steps may make it "
                "smaller."
            )
        if abs(self.base) >= abs(change):
            doubts.append(
                f"The difference lies in the baseline: there it is {signed(self.base)} already, and the picture changes it by no more than "
                f"that, {signed(change)}. The map shows this change, not why the models differ."
            )
        return doubts


def agreement(first: np.ndarray, second: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Where two maps (H, W) on one image look: int8 codes into SETS, -1 where either is NaN.

    A map looks at the pixels strictly above its own 1 - ``share`` quantile over the pixels that both have: at most ``share`` of them, and
    none where a map is even. 1 is the intersection of both sets, 2 and 3 what only one of them holds. MethodError for different shapes.
    """
    if first.shape != second.shape or not 0 < share < 1:
        raise MethodError(f"Maps of {first.shape} and {second.shape} and a share of {share:g} make no common sets.")
    seen = np.isfinite(first) & np.isfinite(second)
    codes = np.full(first.shape, -1, dtype=np.int8)
    if seen.any():
        in_first, in_second = (values > np.quantile(values[seen], 1 - share) for values in (first, second))
        codes[seen] = np.select([in_first & in_second, in_first, in_second], [1, 2, 3], 0)[seen]
    return codes
