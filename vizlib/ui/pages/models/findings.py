"""What the report says, in sentences made from its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import adding_digits, counted, listed, percent, points
from vizlib.stats import wilson
from vizlib.ui.pages.models.report_tables import share_words

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from vizlib.ui.pages.models.report_tables import Report

PLAIN = "vit_tiny50"


def unmarked(text: str) -> str:
    """A sentence without the marks of bold words, for those who hear a chart's words read."""
    return text.replace("**", "")


def _bold(name: str) -> str:
    return f"**{short_name(name)}**"


def who_wins(report: Report) -> str:
    """Which model is right most often, how far it is ahead of the plain ViT, and which ones chance could put beside it."""
    names = sorted(report.names, key=lambda name: -report.top(name)[0])
    if not names:
        return ""
    best, others = names[0], names[1:]
    often = f"for {share_words(report.top(best))} of {report.images:,} photographs"
    if not others:
        return f"{_bold(best)} is right {often}; no other model is measured yet."
    level = [name for name in others if report.top(name)[0] == report.top(best)[0]]
    if level:
        text = f"{listed([_bold(name) for name in (best, *level)])} are right most often, each {often}"
    else:
        text = f"{_bold(best)} is right most often, {often}"
    gains = report.section("differences").get(best, {})
    if PLAIN in gains and PLAIN not in level:
        gain, own, plain = gains[PLAIN], report.top(best)[0], report.top(PLAIN)[0]
        digits = adding_digits((100 * gain[0], 100 * own, -100 * plain), digits=1)
        text += f"; the plain {_bold(PLAIN)} for {percent(plain, digits)}, and the difference is {points(*gain, digits=digits)}"
    behind = [name for name in others if name in gains and gains[name][1] > 0]
    close = [name for name in others if name in gains and gains[name][1] <= 0]
    if close:
        text += f". These photographs cannot tell {_bold(best) if level else 'it'} from {listed([_bold(name) for name in close])}"
    if behind:
        ahead = f"{_bold(best) if level else 'it'} is ahead of {_ahead_of(behind, others, gains)} beyond chance"
        text += f"; {ahead}" if close else f". {ahead[0].upper()}{ahead[1:]}"
        text += ", each difference taken alone" if len(behind) > 1 else ""
    return f"{text}.{_unequal(report)}"


def _ahead_of(behind: Sequence[str], others: Sequence[str], compared: Container[str]) -> str:
    if len(behind) == 1:
        return _bold(behind[0])
    if len(behind) == len(others):
        return f"all {len(behind)} others"
    return f"the other {len(behind)}" if all(name in compared for name in others) else f"{len(behind)} of the others"


def _unequal(report: Report) -> str:
    """Which models were trained longer than others."""
    facts, trained = report.section("models"), dict[int, list[str]]()
    for name in report.names:
        epochs = facts.get(name, {}).get("epochs")
        if epochs:
            trained.setdefault(epochs, []).append(short_name(name))
    if len(trained) < 2:
        return ""
    parts = [f"{listed(names)} for {counted(epochs, 'epoch')}" for epochs, names in sorted(trained.items())]
    return f" They were not trained equally long: {'; '.join(parts)}."


def dearer(report: Report) -> str:
    """Whether more multiply-adds go with more right answers."""
    costed = {name: cost for name in report.names if (cost := report.cost(name, "multiply_adds")) is not None}
    if len(costed) < 3:
        return ""
    best = max(costed, key=lambda name: (report.top(name)[0], -costed[name]))
    cheapest, dearest = min(costed, key=lambda name: costed[name]), max(costed, key=lambda name: costed[name])
    if best == dearest:
        times = costed[best] / costed[cheapest]
        return f"Right most often of these, {_bold(best)} also computes the most: {times:.1f} times what {_bold(cheapest)} does."
    gain = report.section("differences").get(dearest, {}).get(best)
    apart = points(*gain, digits=1) if gain else points(report.top(dearest)[0] - report.top(best)[0], digits=1)
    long = [report.section("models").get(name, {}).get("epochs") for name in (dearest, best)]
    unequal = f"; it was trained for {long[0]} epochs, and {_bold(best)} for {long[1]}" if long[0] != long[1] else ""
    return (
        f"Right most often of these, {_bold(best)} takes {costed[best]:.0f} million multiply-adds; the dearest, {_bold(dearest)}, takes "
        f"{costed[dearest] / costed[best]:.1f} times as many, and its share of right answers differs by {apart}{unequal}."
    )


def who_starves(report: Report) -> str:
    """How far models are from the plain ViT with few photographs and with all, of those trained as long."""
    runs = report.small_data()
    others = [name for name in runs if name != PLAIN]
    if PLAIN not in runs or not others:
        return ""
    plain = {(images, epochs): top for images, top, epochs in runs[PLAIN]}
    parts = []
    for name in others:
        tops = {images: (top, plain[images, epochs]) for images, top, epochs in runs[name] if (images, epochs) in plain}
        if len(tops) > 1:
            few, many = min(tops), max(tops)
            begin = f"With {few:,} photographs {_bold(name)} is {_apart(*tops[few], _bold(PLAIN))}"
            parts.append(f"{begin}, with {many:,} {_apart(*tops[many], 'it')}.")
    return " ".join(parts)


def _apart(top: Sequence[float], plain: Sequence[float], other: str) -> str:
    """How far two shares (share, low, high) lie apart, and whether chance could do it: their intervals taken together (Newcombe 1998)."""
    gap = top[0] - plain[0]
    low, high = gap - math.hypot(top[0] - top[1], plain[2] - plain[0]), gap + math.hypot(top[2] - top[0], plain[0] - plain[1])
    told = points(gap, low, high, digits=1)
    if low <= 0 <= high:
        return f"not to be told from {other} ({told.replace(' (', ', ').removesuffix(')')})"
    if gap < 0:
        told = points(-gap, -high, -low, digits=1)
    return f"{'ahead of' if gap > 0 else 'behind'} {other} by {told.replace('+', '')}"


def worst_confusion(report: Report, name: str) -> str:
    """A model's most frequent mistake and its hardest and easiest class."""
    counts, classes = report.section("confusion")[name], report.classes
    mistakes = [(line[column], row, column) for row, line in enumerate(counts) for column in range(len(line)) if row != column]
    most = max((count for count, _, _ in mistakes), default=0)
    if not most:
        return f"{_bold(name)} makes no mistake on these photographs."
    first = [(row, column) for count, row, column in mistakes if count == most]
    if len(first) > 1:
        text = f"No mistake of {_bold(name)} is made more often than all others: its {len(first)} commonest are made {_times(most)} each."
    else:
        ((row, column),) = first
        of = sum(counts[row])
        text = (
            f"The most frequent mistake of {_bold(name)}: it takes **{classes[row]}** for **{classes[column]}**, {_times(most)} in {of} "
            f"({percent(most / of)}, {_interval(most, of)})."
        )
    right = {classes[index]: (line[index], sum(line)) for index, line in enumerate(counts) if sum(line)}
    hardest, easiest = _extreme(right, lowest=True), _extreme(right, lowest=False)
    return f"{text} Hardest for it {hardest}, easiest {easiest}." if hardest != easiest else text


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _interval(right: int, of: int) -> str:
    """The interval of a share of few photographs."""
    low, high = wilson(right, of)
    return f"95\u00a0%: {percent(low)} to {percent(high)}"


def _extreme(right: dict[str, tuple[int, int]], *, lowest: bool) -> str:
    """The class with the lowest or the highest share of right answers, or how many have it."""
    shares = {name: count / of for name, (count, of) in right.items()}
    end = min(shares.values()) if lowest else max(shares.values())
    names = [name for name, share in shares.items() if share == end]
    if len(names) > 3:
        return f"are {len(names)} classes ({percent(end)} right)"
    if len(names) > 1:
        return f"are {listed([f'**{name}**' for name in names])} ({percent(end)} right)"
    count, of = right[names[0]]
    return f"is **{names[0]}** ({percent(end)} right, {_interval(count, of)})"


def who_knows(report: Report, name: str) -> str:
    """Whether a model says more or less than is so, and which one's confidence is nearest to the truth."""
    calibration = report.section("calibration")
    measured = [other for other in report.names if other in calibration]
    said, (right, low, high) = calibration[name]["mean_confidence"], report.top(name)
    told = f"{percent(said, 1)} confident on average and right for {share_words((right, low, high))}"
    if low <= said <= high:
        text = f"{_bold(name)} is {told}: on average it is as sure as it should be, as far as these photographs can tell."
    else:
        text = f"{_bold(name)} is {'less sure' if said < low else 'surer'} than it should be: {told}."
    if len(measured) > 1:
        best, second, *_ = sorted(measured, key=lambda other: calibration[other]["error"])
        errors = [f"{100 * calibration[other]['error']:.1f}" for other in (best, second)]
        text += (
            f" By the error of its confidence, bin by bin, {_bold(best)} is nearest to the truth, off by "
            f"{errors[0]}\u00a0percentage\u00a0points on average, then {_bold(second)} with {errors[1]}; what chance makes of that was not "
            "measured."
        )
    return text


def who_points(report: Report, measure: str, subset: str) -> str:
    """How many maps beat the centred Gaussian on one measure, which scores highest, and how many others cannot be told from it."""
    rows = [
        (scores[subset], method, name) for method, models in report.maps().items() for name, scores in models.items() if subset in scores
    ]
    if not rows:
        return ""
    beats = sum(row[0]["beats_gaussian"][_key(measure)] for row in rows)
    best, method, name = max(rows, key=lambda row: row[0][measure][0])
    value, low, high = best[measure]
    if measure == "ratio":
        told = f"{value:.2f} (95\u00a0%: {low:.2f} to {high:.2f}) times the box's share"
    else:
        told = f"{percent(value)} inside (95\u00a0%: {percent(low)} to {percent(high)})"
    meet = sum(scores[measure][2] >= low for scores, _, _ in rows) - 1
    alike = f"; the intervals of {meet} others meet it" if meet > 1 else "; the interval of one other meets it" if meet else ""
    return (
        f"{beats or 'None'} of {counted(len(rows), 'pair')} of a method and a model {'beats' if beats == 1 else 'beat'} a Gaussian around "
        f"the middle of the picture, each taken alone. Highest is **{METHODS[method].title}** of {_bold(name)}: {told}{alike}."
    )


def _key(measure: str) -> str:
    return "mass" if measure == "ratio" else measure
