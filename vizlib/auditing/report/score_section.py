"""The section of a report that says how faithful the maps are, and which method is ahead of which."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from vizlib.auditing.report.findings import signed_ends
from vizlib.auditing.report.html_parts import Section, table_html
from vizlib.auditing.report.names import shown_names
from vizlib.evaluation.metrics import METRICS
from vizlib.figures.html_page import escaped
from vizlib.figures.numbers import decimal, signed

if TYPE_CHECKING:
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.score_leads import ModelScores
    from vizlib.auditing.report.names import ShownNames


def score_section(view: Overview) -> Section | None:
    """Scores with intervals and leads of methods; None where the audit was made without scores."""
    if not view.scores:
        return None
    shown = shown_names(view.facts)
    tabs = tuple((shown.models[each.model], _scores(each, shown) + _leads(each, shown)) for each in view.scores)
    rules = " ".join(f"{METRICS[name].title}: {METRICS[name].definition}" for name in view.facts["scores"])
    return Section(
        "How faithful the maps are",
        "Each map's scores, over the set. A lead is positive where a map does better than a Gaussian around the middle of the same "
        "picture, or the first method better than the second; where its interval holds zero, it cannot be told.",
        tabs,
        f"{rules} Intervals are of 95 %, by drawing pictures again; those of all pairs of methods hold together with 95 %.",
    )


def _scores(scores: ModelScores, shown: ShownNames) -> str:
    rows = [
        [
            escaped(METRICS[each.metric].title), escaped(shown.methods[each.method]), f"{each.pictures:,}",
            f"<b>{decimal(each.value[0], 3)}</b> <span class='exactly'>{_ends(*each.value[1:])}</span>",
            f"<b>{signed(each.ahead[0], 3)}</b> <span class='exactly'>{signed_ends(*each.ahead[1:])}</span>",
        ]
        for each in scores.scores
    ]  # fmt: skip
    return table_html(["score", "method", "maps", "mean", "ahead of a Gaussian"], rows) if rows else "<p>There is no map.</p>"


def _leads(scores: ModelScores, shown: ShownNames) -> str:
    rows = [
        [
            escaped(METRICS[lead.metric].title), escaped(shown.methods[lead.first]), escaped(shown.methods[lead.second]),
            f"{lead.pictures:,}",
            f"<b>{signed(lead.mean, 3)}</b> <span class='exactly'>{signed_ends(lead.low, lead.high)}</span>",
            escaped(shown.methods[lead.first if lead.mean > 0 else lead.second] if lead.told else "cannot be told"),
        ]
        for lead in scores.leads
    ]  # fmt: skip
    return table_html(["score", "first", "second", "pictures", "first ahead by", "ahead"], rows) if rows else ""


def _ends(low: float, high: float) -> str:
    return f"{decimal(low, 3)} to {decimal(high, 3)}" if isfinite(low) else "one picture"
