"""Many marks in short: methods by exams, in the mean over models, and what has no mark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.exams.cards import EXAMS
from vizlib.evaluation.exams.question import interval_words
from vizlib.figures.numbers import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    @property
    def interval(self) -> str:
        """Its ends in words, as a mark has them."""
        return interval_words(self.low, self.high, self.reference)


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


@dataclass(frozen=True)
class Unmarked:
    """Marks that could not be given for one reason: in each of the ``exams`` those of each of the ``methods`` on each of the ``models``.

    ``everyone`` is whether these are all methods that sat them.
    """

    exams: tuple[str, ...]
    models: tuple[str, ...]
    methods: tuple[str, ...]
    why: str
    everyone: bool

    @property
    def count(self) -> int:
        """How many marks these are."""
        return len(self.exams) * len(self.models) * len(self.methods)

    def text(self, titles: Mapping[str, str] | None = None) -> str:
        """One sentence of exams, models (by their ``titles`` where they have one), methods and reason."""
        exams = listed([EXAMS[exam].title for exam in self.exams])
        models = listed([(titles or {}).get(model, model) for model in self.models])
        methods = "all methods" if self.everyone and len(self.methods) > 1 else listed([METHODS[method].title for method in self.methods])
        return f"{exams}; {models}; {methods}: {self.why}"


def unmarked(marks: Sequence[Mark]) -> list[Unmarked]:
    """What has no mark and why, with as few words as it takes: one reason of several methods, models and exams is told once."""
    by_model: dict[tuple[str, str, str], list[str]] = {}
    for mark in marks:
        if mark.refused:
            why = mark.refused.removeprefix(f"{METHODS[mark.method].title} does not fit {mark.model}: ")
            by_model.setdefault((mark.exam, why, mark.model), []).append(mark.method)
    together: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (exam, why, model), methods in by_model.items():
        together.setdefault((exam, why, tuple(methods)), []).append(model)
    sat = {exam: len({mark.method for mark in marks if mark.exam == exam}) for exam, _, _ in together}
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...], bool], list[str]] = {}
    for (exam, why, those), models in together.items():
        alike.setdefault((why, tuple(models), those, len(those) == sat[exam]), []).append(exam)
    return [Unmarked(tuple(exams), models, those, why, everyone) for (why, models, those, everyone), exams in alike.items()]
