"""A claim beside what was measured: what would be seen, what is seen, and whether it is so here. Imports the standard library alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Verdict(StrEnum):
    """Whether a claim holds in one measurement, in the words that a reader sees."""

    SO = "here it is so"
    NOT_SO = "here it is not so"
    CANNOT_TELL = "cannot be told here"


@dataclass(frozen=True)
class Claim:
    """One claim of a paper, or of this project, and how it fared here.

    ``statement`` is what is claimed and ``expected`` what would be seen if it held; ``measured`` is what was seen, with its interval or a
    control; before that the verdict is None. ``sources`` are references that end in their address; none means that the claim is this
    project's own.
    """

    statement: str
    expected: str
    measured: str
    verdict: Verdict | None
    sources: tuple[str, ...] = ()


def verdict_above(low: float, high: float, threshold: float = 0.0) -> Verdict:
    """Whether what has the interval ``low`` to ``high`` lies above a threshold: so or not so only where all of it does or does not.

    An end that is not a number tells nothing.
    """
    if math.isnan(low) or math.isnan(high):
        return Verdict.CANNOT_TELL
    if low > threshold:
        return Verdict.SO
    return Verdict.NOT_SO if high < threshold else Verdict.CANNOT_TELL


def verdict_below(low: float, high: float, threshold: float = 0.0) -> Verdict:
    """The same for what is claimed to lie below a threshold."""
    return verdict_above(-high, -low, -threshold)


def of_untrained(claim: Claim) -> Claim:
    """The claim where the model's weights are random: what it says of a trained one cannot be told."""
    return replace(claim, measured=f"{claim.measured} But these weights are random.", verdict=Verdict.CANNOT_TELL)


def all_of(*verdicts: Verdict) -> Verdict:
    """The verdict on several claims together: not so where one is not, so where all are."""
    for verdict in (Verdict.NOT_SO, Verdict.CANNOT_TELL):
        if verdict in verdicts:
            return verdict
    return Verdict.SO
