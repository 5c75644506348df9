"""One verdict over all that was measured of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.evaluation.sanity_checks import Check
    from vizlib.evaluation.score import Score

FAITHFUL = ("deletion", "insertion", "sensitivity_n")
TITLES = {"deletion": "Deletion", "insertion": "Insertion", "sensitivity_n": "Sensitivity-n", "infidelity": "Infidelity"}


@dataclass(frozen=True)
class Badge:
    """A ``verdict``, "passed", "mixed" or "failed", in ``words``; how many of the measures ``asked`` were ``passed``.

    ``lines`` are (title, passed, words) of each, scores first.
    """

    verdict: str
    words: str
    passed: int
    asked: int
    lines: tuple[tuple[str, bool, str], ...]


def badge(scores: Mapping[str, Score], checks: Mapping[str, Check]) -> Badge:
    """The verdict over the scores of ``evaluate`` and the checks of ``sanity``.

    Passed: deletion, insertion and sensitivity-n are good, and so is every check. Failed: neither insertion nor sensitivity-n is good, or
    the cascade is not passed; deletion alone does not save a map, since pixels scattered at random tear a picture apart too. Else mixed.
    A score without a verdict, such as max-sensitivity, does not count. MethodError where one of the three scores or the cascade is missing.
    """
    missing = [name for name in FAITHFUL if name not in scores] + [name for name in ("cascade",) if name not in checks]
    if missing:
        raise MethodError(f"A badge stands on deletion, insertion, sensitivity_n and the cascade check; {', '.join(missing)} is missing.")
    lines = [(TITLES.get(name, name), one.good, _beside(one)) for name, one in scores.items() if one.good is not None]
    lines += [(one.title, one.passed, one.reason) for one in checks.values()]
    foretells = scores["insertion"].good or scores["sensitivity_n"].good
    wrong = [TITLES[name] for name in FAITHFUL if not scores[name].good] + [one.title for one in checks.values() if not one.passed]
    if not foretells:
        verdict, words = "failed", "It foretells the model's answer no better than maps that know nothing of the image."
    elif not checks["cascade"].passed:
        verdict, words = "failed", f"It does not tell of what the model learned. {checks['cascade'].reason}"
    elif wrong:
        verdict, words = "mixed", f"It foretells some of the model's answer, but fails in: {', '.join(wrong).lower()}."
    else:
        verdict, words = "passed", "It foretells the model's answer better than maps that know nothing, and changes when the model does."
    return Badge(verdict, words, sum(passed for _, passed, _ in lines), len(lines), tuple(lines))


def _beside(score: Score) -> str:
    beats = "ahead of" if _ahead(score) else "behind"
    return f"{score.value:.3f}: better than {score.percentile:.0f} % of random smooth maps, {beats} a Gaussian in the middle."


def _ahead(score: Score) -> bool:
    """Whether the map beats the Gaussian."""
    if score.gaussian is None:
        return False
    return score.value > score.gaussian if score.higher else score.value < score.gaussian
