"""Many marks as one table: methods by exams, in the mean over models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.exams.cards import EXAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.exams.question import Mark


@dataclass(frozen=True)
class Average:
    """One method in one exam: the mean of its marks, its 95 % interval, the mean reference, and on how many of ``models`` it passed.

    The models' intervals are taken for independent: the half widths add up in squares. ``refused`` counts the models without a mark.
    """

    value: float
    low: float
    high: float
    reference: float
    passed: int
    models: int
    refused: int


def summary(marks: Sequence[Mark]) -> dict[str, dict[str, Average]]:
    """By method and exam, in the order of the registries; a method without any mark in an exam is left out there.

    The value is the mean of the marks; each end of its interval lies sqrt(sum of d_i^2) / n from it, d_i what the marks' own ends lie off.
    """
    averages: dict[str, dict[str, Average]] = {}
    for method in METHODS:
        for exam in EXAMS:
            own_marks = [mark for mark in marks if (mark.method, mark.exam) == (method, exam)]
            given = [mark for mark in own_marks if not mark.refused]
            if given:
                averages.setdefault(method, {})[exam] = _average(given, len(own_marks) - len(given))
            elif own_marks:
                averages.setdefault(method, {})
    return averages


def _average(marks: list[Mark], refused: int) -> Average:
    count = len(marks)
    value = sum(mark.value for mark in marks) / count
    below, above = (math.hypot(*distances) / count for distances in zip(*((m.value - m.low, m.high - m.value) for m in marks), strict=True))
    reference = sum(mark.reference for mark in marks) / count
    return Average(value, value - below, value + above, reference, sum(mark.passed for mark in marks), count, refused)
