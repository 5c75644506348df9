"""Entropy and distance of every head over the whole set, read part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.auditing.names import natural_order

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit

MEASURES = ("distance", "entropy")


@dataclass(frozen=True, eq=False)
class SiteMeans:
    """Of the heads of the attention ``site`` over ``pictures``: means and standard deviations (heads,) of distance (pixels of the input)
    and entropy (bits), by measure."""

    model: str
    site: str
    pictures: int
    mean: dict[str, np.ndarray]
    deviation: dict[str, np.ndarray]


def head_means(audit: Audit) -> list[SiteMeans]:
    """One for each attention over its whole grid, in the order of the model's layers; none where the audit was made without heads."""
    result = []
    for model in audit.models:
        sums: dict[str, dict[str, list[np.ndarray]]] = {}
        counts: dict[str, int] = {}
        for _, arrays in audit.head_parts(model):
            for name, values in arrays.items():
                measure, _, site = name.partition(".")
                if site not in sums:
                    sums[site] = {each: [np.zeros(values.shape[1]), np.zeros(values.shape[1])] for each in MEASURES}
                    counts[site] = 0
                present = values[~np.isnan(values).any(1)].astype(np.float64)
                sums[site][measure][0] += present.sum(0)
                sums[site][measure][1] += (present**2).sum(0)
                counts[site] += len(present) if measure == MEASURES[0] else 0
        for site in sorted(sums, key=natural_order):
            count = counts[site]
            if count:
                mean = {measure: total / count for measure, (total, _) in sums[site].items()}
                spread = {measure: np.sqrt((squares / count - mean[measure] ** 2).clip(0)) for measure, (_, squares) in sums[site].items()}
                result.append(SiteMeans(model, site, count, mean, spread))
    return result
