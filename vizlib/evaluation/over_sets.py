"""Scores of many maps at once, with intervals, and what one method is ahead of another over the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import MethodError
from vizlib.stats import Estimate, mean_bootstrap, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.evaluation.score import Score
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class SetScore:
    """One metric over N pictures: ``scores`` of each in order; ``mean`` with its 95 % interval, by drawing pictures again.

    ``ahead`` is the mean of how far a map is ahead of a Gaussian around the middle, positive for better, with its interval, and ``good``
    the share of maps that the metric calls good, with Wilson's; both None where a map alone cannot be measured.
    """

    scores: tuple[Score, ...]

    @property
    def values(self) -> np.ndarray:
        """The values (N,), NaN where a map has none."""
        return np.array([score.value for score in self.scores])

    @property
    def mean(self) -> Estimate:
        """The mean over the pictures that have a value, and its interval; NaN where none has."""
        measured = self.values[~np.isnan(self.values)]
        return (float(measured.mean()) if len(measured) else float("nan"), *mean_bootstrap(measured))

    @property
    def ahead(self) -> Estimate | None:
        """The mean lead on the Gaussian and its interval."""
        leads = [(score.value - score.gaussian) * (1 if score.higher else -1) for score in self.scores if score.gaussian is not None]
        return (float(np.mean(leads)), *mean_bootstrap(np.array(leads))) if leads else None

    @property
    def good(self) -> Estimate | None:
        """The share of good maps and its interval."""
        verdicts = [score.good for score in self.scores if score.good is not None]
        return (sum(verdicts) / len(verdicts), *wilson(sum(verdicts), len(verdicts))) if verdicts else None


@dataclass(frozen=True)
class Lead:
    """By how much ``first`` is ahead of ``second`` on the same ``pictures`` by one metric: ``mean`` within ``low`` and ``high``.

    Positive is better for the first, whichever way the metric goes. The intervals of all pairs hold together with 95 %.
    """

    metric: str
    first: str
    second: str
    pictures: int
    mean: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the lead can be told from none."""
        return self.low > 0 or self.high < 0


def evaluate_set(
    model: Model, images: Sequence[Any], explanations: Sequence[Explanation], metrics: Sequence[str] | None
) -> dict[str, SetScore]:
    """A SetScore for each of ``metrics`` of explanations of these images, in their order; MethodError where they are not as many."""
    from vizlib.evaluation.faithfulness import FaithfulnessScorer
    from vizlib.evaluation.reexplain import checked_input

    if len(images) != len(explanations) or not len(images):
        raise MethodError(f"As many explanations as images are scored, at least one: there are {len(explanations)} and {len(images)}.")
    found: dict[str, list[Score]] = {}
    for image, explanation in zip(images, explanations, strict=True):
        scorer = FaithfulnessScorer(model, checked_input(model, image, explanation), explanation.target)
        for name, score in scorer.score(explanation, metrics).items():
            found.setdefault(name, []).append(score)
    return {name: SetScore(tuple(scores)) for name, scores in found.items()}


def leads(metric: str, values: Mapping[str, np.ndarray], *, higher: bool) -> list[Lead]:
    """The lead of every method on every other by one metric, of ``values`` (N,) by method on the same N pictures, NaN for none.

    The mean of the differences, picture by picture, over those that both have; its interval by drawing pictures again, at 1 - 0.05 / m for
    m pairs, so that all hold together with 95 % (Bonferroni). ``higher`` says whether more is better.
    """
    pairs = list(combinations(values, 2))
    found = []
    for first, second in pairs:
        apart = (values[first] - values[second]) * (1 if higher else -1)
        apart = apart[~np.isnan(apart)]
        if len(apart):
            found.append(Lead(metric, first, second, len(apart), float(apart.mean()), *mean_bootstrap(apart, 1 - 0.05 / len(pairs))))
    return found


def compare_methods(scores: Mapping[str, Mapping[str, SetScore]]) -> list[Lead]:
    """The leads of methods on each other by every metric, of what ``evaluate`` gave for each method over the same images.

    MethodError where methods were scored on other numbers of images.
    """
    counts = {len(score.scores) for by_metric in scores.values() for score in by_metric.values()}
    if len(counts) > 1:
        raise MethodError(f"Methods are compared on the same pictures; these were scored on {' and '.join(map(str, sorted(counts)))}.")
    metrics = list(dict.fromkeys(metric for by_metric in scores.values() for metric in by_metric))
    result = []
    for metric in metrics:
        own = {method: by_metric[metric] for method, by_metric in scores.items() if metric in by_metric}
        higher = all(score.higher for of_set in own.values() for score in of_set.scores)
        result += leads(metric, {method: of_set.values for method, of_set in own.items()}, higher=higher)
    return result
