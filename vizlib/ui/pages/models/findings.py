"""What the report says, in sentences made from its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import percent
from vizlib.ui.pages.models.report_tables import share_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.ui.pages.models.report_tables import Report

PLAIN = "vit_tiny50"


def listed(words: Sequence[str]) -> str:
    """One, one and another, or one, another and a third."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _bold(name: str) -> str:
    return f"**{short_name(name)}**"


def _points(gain: Sequence[float]) -> str:
    """A difference of shares with its interval, in points."""
    value, low, high = (100 * share for share in gain)
    return f"{value:.1f} points ({low:.1f} to {high:.1f})"


def who_wins(report: Report) -> str:
    """Which model is right most often, how far it is ahead of the plain ViT, and which ones chance could put beside it."""
    names = sorted(report.names, key=lambda name: -report.top(name)[0])
    if not names:
        return ""
    best, others = names[0], names[1:]
    often = f"for {share_words(report.top(best))} of {report.images:,} photographs"
    if not others:
        return f"{_bold(best)} is right {often}; no other model is measured yet."
    text = f"{_bold(best)} is right most often, {often}"
    gains = report.section("differences").get(best, {})
    if best != PLAIN and PLAIN in gains:
        low = gains[PLAIN][1]
        text += f"; the plain {_bold(PLAIN)} for {100 * report.top(PLAIN)[0]:.1f}\u00a0%, " + (
            f"{_points(gains[PLAIN])} less" if low > 0 else "a difference that chance could make"
        )
    close = [name for name in others if name in gains and gains[name][1] <= 0]
    rest = len([name for name in others if name in gains]) - len(close)
    if close:
        text += f". These photographs cannot tell it from {listed([_bold(name) for name in close])}"
        text += f"; it is ahead of the other {rest} beyond chance" if rest > 1 else ""
    elif len(others) > 1:
        text += f". It is ahead of all {len(others)} others beyond chance"
    return f"{text}.{_unequal(report)}"


def _unequal(report: Report) -> str:
    facts = report.section("models")
    epochs = sorted({facts[name]["epochs"] for name in report.names if facts.get(name, {}).get("epochs")})
    if len(epochs) < 2:
        return ""
    return f" They were not trained equally long: {listed([str(count) for count in epochs])} epochs."


def dearer(report: Report) -> str:
    """Whether more multiply-adds go with more right answers."""
    points = report.against("multiply_adds")
    if len(points) < 3:
        return ""
    by_cost = sorted(points, key=lambda point: point.x)
    best = max(points, key=lambda point: point.value)
    cheapest, dearest = by_cost[0], by_cost[-1]
    if best is dearest:
        times = best.x / cheapest.x
        return f"The best one, **{best.mark.label}**, also computes the most: {times:.1f} times what **{cheapest.mark.label}** does."
    return (
        f"The best one, **{best.mark.label}**, takes {best.x:.0f} million multiply-adds; **{dearest.mark.label}**, the dearest, takes "
        f"{dearest.x / best.x:.1f} times as many and is right {100 * (best.value - dearest.value):.1f} points less often."
    )


def who_starves(report: Report) -> str:
    """How the gap to the plain ViT changes from few photographs to all."""
    runs = report.small_data()
    others = [name for name in runs if name != PLAIN]
    if PLAIN not in runs or not others:
        return ""
    plain = {images: top for images, top, _ in runs[PLAIN]}
    parts = []
    for name in others:
        tops = {images: top for images, top, _ in runs[name] if images in plain}
        if len(tops) > 1:
            few, many = min(tops), max(tops)
            begin = f"With {few:,} photographs {_bold(name)} is {_apart(tops[few], plain[few], _bold(PLAIN))}"
            parts.append(f"{begin}, with {many:,} {_apart(tops[many], plain[many], 'it')}.")
    return " ".join(parts)


def _apart(top: Sequence[float], plain: Sequence[float], other: str) -> str:
    """How far two shares (share, low, high) lie apart, and whether chance could do it: their intervals taken together."""
    gap = top[0] - plain[0]
    less, more = (top, plain) if gap < 0 else (plain, top)
    points = f"{abs(100 * gap):.1f} points"
    if abs(gap) <= math.hypot(more[0] - more[1], less[2] - less[0]):
        return f"not to be told from {other} ({points})"
    return f"{points} {'ahead of' if gap >= 0 else 'behind'} {other}"


def worst_confusion(report: Report, name: str) -> str:
    """A model's most frequent mistake and its hardest and easiest class."""
    counts, classes = report.section("confusion")[name], report.classes
    mistakes = [(line[column], row, column) for row, line in enumerate(counts) for column in range(len(line)) if row != column]
    most, row, column = max(mistakes)
    right = [line[index] / sum(line) if sum(line) else 1.0 for index, line in enumerate(counts)]
    hardest, easiest = right.index(min(right)), right.index(max(right))
    return (
        f"The most frequent mistake of {_bold(name)}: it takes **{classes[row]}** for **{classes[column]}**, {most} times in "
        f"{sum(counts[row])}. Hardest for it is **{classes[hardest]}** ({percent(right[hardest])} right), easiest "
        f"**{classes[easiest]}** ({percent(right[easiest])})."
    )


def who_knows(report: Report, name: str) -> str:
    """Whether a model says more or less than is so, and which one's confidence is nearest to the truth."""
    calibration = report.section("calibration")
    measured = [other for other in report.names if other in calibration]
    gap = calibration[name]["mean_confidence"] - report.top(name)[0]
    way = "less sure than it should be" if gap < 0 else "surer than it should be"
    text = (
        f"{_bold(name)} is {way}: {percent(calibration[name]['mean_confidence'])} confident on average and right for "
        f"{percent(report.top(name)[0])}."
    )
    if len(measured) > 1:
        best = min(measured, key=lambda other: calibration[other]["error"])
        text += f" Nearest to the truth is {_bold(best)}, off by {100 * calibration[best]['error']:.1f}\u00a0points on average."
    return text


def who_points(report: Report, measure: str, subset: str) -> str:
    """How many maps beat the centred Gaussian on one measure, which is best, and which ones know no more than it does."""
    rows = [
        (scores[subset], method, name) for method, models in report.maps().items() for name, scores in models.items() if subset in scores
    ]
    if not rows:
        return ""
    beats = [row for row in rows if row[0]["beats_gaussian"][_key(measure)]]
    best, method, name = max(rows, key=lambda row: row[0][measure][0])
    value = f"{best['ratio'][0]:.2f} times the box's share" if measure == "ratio" else f"{percent(best['pointing'][0])} inside"
    many = f"{len(beats)} of {len(rows)}" if beats else f"None of {len(rows)}"
    return f"{many} maps beat a Gaussian around the middle of the picture. Best is **{METHODS[method].title}** of {_bold(name)}: {value}."


def _key(measure: str) -> str:
    return "mass" if measure == "ratio" else measure
