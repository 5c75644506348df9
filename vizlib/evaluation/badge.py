"""One verdict over all that was measured of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.errors import MethodError
from vizlib.evaluation import protocol
from vizlib.evaluation.checks import CHECKS
from vizlib.evaluation.metrics import METRICS
from vizlib.figures.numbers import decimal, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.evaluation.checks import Check
    from vizlib.evaluation.score import Score


@dataclass(frozen=True)
class Badge:
    """A ``verdict``, "passed", "mixed" or "failed", in ``words``; how many of the ``tests`` were ``passed``.

    ``lines`` are (title, passed, words) of each, scores first.
    """

    verdict: str
    words: str
    passed: int
    tests: int
    lines: tuple[tuple[str, bool, str], ...]


def badge(scores: Mapping[str, Score], checks: Mapping[str, Check]) -> Badge:
    """The verdict over the scores of ``evaluate`` and the checks of ``sanity_checks``.

    Passed: every score that its metric's record calls decisive or required (deletion, insertion, sensitivity-n) is good, and so is every
    check. Failed: no decisive score (insertion, sensitivity-n) is good, or a decisive check (the cascade) is not passed; deletion alone
    does not save a map, since pixels scattered at random tear a picture apart too. Else mixed. A score without a verdict, such as
    max-sensitivity, does not count. MethodError where a required score or a decisive check is missing.
    """
    decisive = [name for name, metric in METRICS.items() if metric.badge == "decisive"]
    required = [name for name, metric in METRICS.items() if metric.badge in ("decisive", "required")]
    decisive_checks = [name for name, card in CHECKS.items() if card.decisive]
    missing = [name for name in required if name not in scores] + [name for name in decisive_checks if name not in checks]
    if missing:
        needed = f"{', '.join(required)} and the {' and the '.join(decisive_checks)} check"
        raise MethodError(f"A badge stands on {needed}; {', '.join(missing)} is missing.")
    lines = [(_title(name), score.good, _beside_controls(score)) for name, score in scores.items() if score.good is not None]
    lines += [(check.title, check.passed, check.reason) for check in checks.values()]
    failing = [_title(name) for name in required if not scores[name].good] + [check.title for check in checks.values() if not check.passed]
    # What a map need not be good in is in the count of tests passed, so it is told.
    spare = listed([_title(name).lower() for name, score in scores.items() if score.good is False and name not in required])
    if not any(scores[name].good for name in decisive):
        deciding = " and ".join(_title(name).lower() for name in decisive)
        verdict, neither = "failed", "neither" if len(decisive) == 2 else "none"
        words = (
            "That it predicts the model's answer better than maps that know nothing of the picture is not shown: "
            f"{deciding} decide, and {neither} is good."
        )
    elif failed_checks := [checks[name] for name in decisive_checks if not checks[name].passed]:
        decided = failed_checks[0]
        verdict, words = "failed", f"It does not tell of what the model learned, which “{decided.title}” decides: {decided.reason}"
    elif failing:
        aside = f"; and in {spare}, which a map may lack" if spare else ""
        verdict, words = "mixed", f"It predicts some of the model's answer, but fails in: {', '.join(failing).lower()}{aside}."
    else:
        verdict = "passed"
        aside = f" (though not by {spare}, which a map may lack)" if spare else ""
        words = f"It predicts the model's answer better than maps that know nothing{aside}, and changes when the model does."
    return Badge(verdict, words, sum(passed for _, passed, _ in lines), len(lines), tuple(lines))


def _title(name: str) -> str:
    return METRICS[name].title if name in METRICS else name


def _beside_controls(score: Score) -> str:
    beats = "level with" if score.value == score.gaussian else "ahead of" if _beats_gaussian(score) else "behind"
    random = f"better than {score.percentile:.0f} % of {protocol.RANDOM_MAPS} random smooth maps"
    order = ", but its pixels went in a random order" if score.without_order else ""
    return f"{decimal(score.value, 3)}: {random}, {beats} a Gaussian in the middle{order}."


def _beats_gaussian(score: Score) -> bool:
    """Whether the map beats the Gaussian."""
    if score.gaussian is None:
        return False
    return score.value > score.gaussian if score.higher else score.value < score.gaussian
