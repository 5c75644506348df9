"""Intervals: of shares, of means over images, of means over groups of images. Imports numpy, and scipy for Student's t alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Estimate = tuple[float, float, float]  # a value and the ends of its 95 % interval, NaN where one picture alone tells nothing of it

RESAMPLES = 2000
DRAWN = 20_000  # values of which bootstrap samples are drawn
CHANCE = 0.05  # the share that lies beyond a 95 % bound by chance alone


def wilson(right: float, images: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of the share ``right`` / ``images`` (Wilson 1927)."""
    z = 1.959963984540054
    share, spread = right / images, z * z / images
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / images + spread / (4 * images))
    # At the ends the two are equal, and what rounding leaves of them would read as more than nothing.
    return 0.0 if right <= 0 else max(0.0, centre - half), 1.0 if right >= images else min(1.0, centre + half)


def mean_interval(total: float, squares: float, count: int, within: tuple[float, float] = (-math.inf, math.inf)) -> tuple[float, float]:
    """The 95 % interval of the mean of ``count`` values by their sum and the sum of their squares: Student's t (Student 1908).

    For means over so many values that they are not kept. Values that all lie ``within`` bounds have their mean there too. One value alone
    tells nothing of the spread: NaN.
    """
    if count < 2:
        return math.nan, math.nan
    from scipy.special import stdtrit

    mean = total / count
    variance = max(0.0, squares - count * mean * mean) / (count - 1)
    half = float(stdtrit(count - 1, 0.975)) * math.sqrt(variance / count)
    return max(within[0], mean - half), min(within[1], mean + half)


def bootstrap_weights(images: int, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each of ``images`` is drawn in each bootstrap sample (Efron 1979), as weights (resamples, images) that sum to 1."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples) / images


def middle_95(samples: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 % quantiles of bootstrap values (resamples,): the percentile interval."""
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(low), float(high)


def bootstrap_interval(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The 95 % interval of a statistic of the mean of values (images, ...), by drawing images again.

    ``statistic`` takes means (resamples, ...) to numbers (resamples,). The ends are moved away from the statistic of all images by
    sqrt(n / (n - 1)), as in ``grouped_bootstrap``. One image alone tells nothing of the spread: NaN.
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    means = np.tensordot(bootstrap_weights(count), values, 1)
    low, high = middle_95(statistic(means))
    centre, wider = float(statistic(values.mean(0)[None])[0]), (count / (count - 1)) ** 0.5
    return centre + (low - centre) * wider, centre + (high - centre) * wider


def mean_bootstrap(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The interval of the mean of values (n,) at a ``level``, by drawing them again (the percentile bootstrap, Efron 1979).

    The ends are moved away from the mean by sqrt(n / (n - 1)). Beyond 20,000 values, where the two agree, by Student's t. One value alone
    tells nothing of the spread: NaN.
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    mean = float(np.mean(values, dtype=np.float64))
    if count > DRAWN:
        from scipy.special import stdtrit

        half = float(stdtrit(count - 1, 0.5 + level / 2)) * float(np.std(values, ddof=1, dtype=np.float64)) / math.sqrt(count)
        return mean - half, mean + half
    generator, at_once = np.random.default_rng(0), max(1, 4_000_000 // count)
    resamples = max(RESAMPLES, math.ceil(100 / (1 - level)))  # some fifty lie beyond each end
    means = [
        generator.multinomial(count, np.full(count, 1 / count), size=min(at_once, resamples - first)) @ values / count
        for first in range(0, resamples, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), (0.5 - level / 2, 0.5 + level / 2))
    wider = (count / (count - 1)) ** 0.5
    return mean + (float(low) - mean) * wider, mean + (float(high) - mean) * wider


def grouped_bootstrap(values: np.ndarray, groups: Sequence[int]) -> tuple[float, float, int]:
    """The 95 % interval of the mean of values (n,), drawn by whole groups, and how many groups there are.

    Its ends are moved away from the mean by sqrt(n / (n - 1)), n the groups: a bootstrap of few is that much too narrow. One group alone
    tells nothing of the spread: 0 to 1.
    """
    names, rows = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) == 1:
        return 0.0, 1.0, 1
    sums, counts = np.bincount(rows, values), np.bincount(rows).astype(float)
    weights = bootstrap_weights(len(names))
    low, high = middle_95((weights @ sums) / (weights @ counts))
    mean, wider = float(values.mean()), (len(names) / (len(names) - 1)) ** 0.5
    return mean + (low - mean) * wider, mean + (high - mean) * wider, len(names)


def share_difference(right: float, images: int, other_right: float, other_images: int) -> tuple[float, float]:
    """The 95 % interval of ``right`` / ``images`` - ``other_right`` / ``other_images``, from both Wilson intervals (Newcombe 1998)."""
    share, other = right / images, other_right / other_images
    (low, high), (other_low, other_high) = wilson(right, images), wilson(other_right, other_images)
    gap = share - other
    return gap - math.hypot(share - low, other_high - other), gap + math.hypot(high - share, other - other_low)
