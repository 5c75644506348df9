"""How the classes of a data set became those of a model, where a reader has to know before believing how often it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.figures.numbers import counted, listed
from vizlib.model_report.accuracy import BY_WORDS, SORTED_ORDER, numbering_note

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = 5  # classes that are named of those that a model does not know


def label_note(model: Mapping[str, Any], classes: list[list[str]]) -> str:
    """One sentence on a model of an audit's facts, or nothing where each of the data's ``classes`` (key, words) names one of its own."""
    how = model["matched"]
    if how == SORTED_ORDER:
        return "Its classes 0, 1, ... are taken to be those of the data in sorted order: give labels if they are not."
    if numbers := numbering_note(how, [key for key, _ in classes]):
        return numbers
    unknown = [key for (key, _), number in zip(classes, model["classes"], strict=False) if number is None]
    if how not in BY_WORDS or not unknown:
        return "" if how in BY_WORDS else str(how)
    named = [*unknown[:_SHOWN], *([counted(len(unknown) - _SHOWN, "other")] if len(unknown) > _SHOWN else [])]
    return (
        f"It has no class of its own for {len(unknown)} of the {counted(len(classes), 'class')} of the data, {listed(named)}: "
        "their pictures count as without a label."
    )
