"""The two problems that attention is said to have solved, put to the test by what was measured on the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from vizlib.claims import Claim, Verdict, verdict_above
from vizlib.figures.numbers import apart, counted, percent, points
from vizlib.seq2seq.task_registry import TASKS
from vizlib.stats import share_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    Accuracies = Sequence[tuple[int, int, int, float, float]]
    Characters = Sequence[tuple[int, float, int, float, float]]
    Gradients = Sequence[tuple[float, float, float, float]]

Row = TypeVar("Row", bound="tuple[float, ...]")

_BAHDANAU = "Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate (2015), https://arxiv.org/abs/1409.0473"
TOO_HARD = 0.1
"""Right answers of the best model, below which a task is too hard for all to tell models apart."""
CLEARER = TASKS["reversal"].title
"""The task that a model without attention learns on short texts and loses on long ones."""
EASY = 0.9
"""Right answers without attention, from which on a task leaves attention little to add."""


def bottleneck_claim(
    without: Accuracies, attentive: Accuracies, title: str, characters: tuple[Characters, Characters] | None = None
) -> Claim | None:
    """Whether attention keeps more right answers on the longest texts; rows are (length, right, texts, low, high). None before both are.

    ``characters`` are such rows for the shares of characters in their place, which are told beside it.
    """
    last = _last_of_both(without, attentive)
    if last is None:
        return None
    (length, right, texts, *_), (_, other_right, other_texts, *_) = last
    low, high = share_difference(other_right, other_texts, right, texts)
    verdict = verdict_above(low, high)
    measured = (
        f"of {length} characters it writes {other_right} of {other_texts} right with attention and {right} of {texts} without, "
        f"{points(other_right / other_texts - right / texts, low, high)}."
    )
    placed = None if characters is None else _last_of_both(*characters)
    if placed is not None:
        measured += f" {_placed_words(*placed)}"
    best = max(row[1] / row[2] for row in (*without, *attentive))
    without_best = max(row[1] / row[2] for row in without)
    if best < TOO_HARD:
        verdict = Verdict.CANNOT_TELL
        measured += (
            f" No model writes more than {percent(best)} right at any length: whole answers are too hard here for the difference to show. "
            f"“{CLEARER}” is the task to see it in."
        )
    elif without_best < TOO_HARD:
        verdict = Verdict.CANNOT_TELL
        measured += (
            f" But without attention it fails at every length, on short texts too (at most {percent(without_best)} right), so length is "
            f"not what it fails by here. “{CLEARER}” is the task to see it in."
        )
    elif low <= 0 and right / texts >= EASY:
        measured += " Texts of this length still fit into one vector: up to here the task needs no attention."
    return Claim(
        "One vector of fixed size is a bottleneck: without attention, long texts fail first.",
        f"on the longest texts {title} is right more often than the model without attention.",
        measured,
        verdict,
        (_BAHDANAU,),
    )


def _placed_words(without: tuple[float, ...], attentive: tuple[float, ...]) -> str:
    (_, total, texts, *_), (_, other_total, other_texts, *_) = without, attentive
    low, high = share_difference(other_total, int(other_texts), total, int(texts))
    placed, other_placed, gap = apart(other_total / other_texts, total / texts, low, high)
    return f"Of their characters {placed} stand in their place with attention and {other_placed} without, {gap}."


def gradient_claim(without: Gradients, attentive: Gradients, title: str) -> Claim | None:
    """Whether the gradient from far away is larger with attention; rows are (distance, mean, low, high). None before both are there."""
    last = _last_of_both(without, attentive)
    if last is None:
        return None
    (distance, mean, low, high), (_, other_mean, other_low, other_high) = last
    known = not any(map(math.isnan, (low, high, other_low, other_high)))
    verdict = Verdict.CANNOT_TELL
    if known and (other_low > high or other_high < low):
        verdict = Verdict.SO if other_low > high else Verdict.NOT_SO
    return Claim(
        "The gradient vanishes on its way back to what was read long ago; attention is a direct way.",
        f"at the farthest character the gradient of {title} is larger, both bands apart.",
        f"{counted(round(distance), 'character')} back, relative to the last one: {other_mean:.2g} ({other_low:.2g} to "
        f"{other_high:.2g}) with attention, {mean:.2g} ({low:.2g} to {high:.2g}) without.",
        verdict,
        (_BAHDANAU,),
    )


def _last_of_both(without: Sequence[Row], attentive: Sequence[Row]) -> tuple[Row, Row] | None:
    """The rows of the largest first number that both have; None where they have none in common."""
    rows, others = ({row[0]: row for row in side} for side in (without, attentive))
    common = rows.keys() & others.keys()
    return (rows[max(common)], others[max(common)]) if common else None
