"""What is measured of maps and regions: numbers and arrays, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BaselineSpread = tuple[float, float, float]


@dataclass(frozen=True)
class RegionScore:
    """The class probability as (mean, least, most) over the baselines: ``whole`` picture, region ``kept`` alone, ``hidden``, or ``empty``.

    ``area`` is the region's share of the model's input. ``brings`` is the share of the score between empty and whole that the region has
    alone, ``loses`` the share that is missing without it: 0 to 1 mostly, and NaN where the whole picture scores no more than an empty one.
    """

    whole: BaselineSpread
    kept: BaselineSpread
    hidden: BaselineSpread
    empty: BaselineSpread
    area: float
    brings: float
    loses: float
    definition: str


@dataclass(frozen=True, eq=False)
class Curves:
    """The class probability over the ``share`` (33,) of pixels taken away (deletion) or given back (insertion), each (33,).

    The mean over the baselines, their least and most; the Gaussian's; and the 5 and 95 % quantiles of the random smooth maps.
    """

    share: np.ndarray
    deletion: np.ndarray
    deletion_low: np.ndarray
    deletion_high: np.ndarray
    deletion_gaussian: np.ndarray
    deletion_random_low: np.ndarray
    deletion_random_high: np.ndarray
    insertion: np.ndarray
    insertion_low: np.ndarray
    insertion_high: np.ndarray
    insertion_gaussian: np.ndarray
    insertion_random_low: np.ndarray
    insertion_random_high: np.ndarray


@dataclass(frozen=True, eq=False)
class StabilityBands:
    """A map under noise: ``middle``, ``low`` and ``high`` (h, w) are its mean and its 10 and 90 % quantiles over the runs.

    ``steady`` (h, w) is the share of the runs, 0 to 1, in which a pixel is among the highest, on their edge with half of it or more: its
    contours at 0.1, 0.5 and 0.9 are the bands. ``overlap`` is how much of the highest area stays, 0 to 1; ``definition`` the exact rule,
    ``radius`` a share of the input's range.
    """

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    steady: np.ndarray
    overlap: float
    runs: int
    radius: float
    definition: str
