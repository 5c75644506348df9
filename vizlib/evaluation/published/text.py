"""A paper's table made again, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.published import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.evaluation.published.runner import PublishedScore


def published_markdown(protocol: str, scores: Mapping[str, Sequence[PublishedScore]]) -> str:
    """One table for each model: methods by columns with their intervals, then why a method has no score."""
    card = PROTOCOLS[protocol]
    parts = [f"# {card.title}, as {protocol}\n", f"{card.definition} [{card.paper}]({card.paper_url})\n"]
    for model, of_model in scores.items():
        pictures = max((score.pictures for score in of_model), default=0)
        parts += [
            f"## {model}, {pictures} pictures\n",
            "| method | " + " | ".join(card.columns) + " |",
            "| --- " * (1 + len(card.columns)) + "|",
        ]
        for method in dict.fromkeys(score.method for score in of_model):
            own = [score for score in of_model if score.method == method]
            if not own[0].refused:
                parts.append(f"| {METHODS[method].title} | " + " | ".join(map(cell, own)) + " |")
        parts += ["", *dict.fromkeys(f"- {score.refused}" for score in of_model if score.refused), ""]
    return "\n".join(parts).rstrip() + "\n"


def cell(score: PublishedScore) -> str:
    """A score with its interval."""
    return "" if score.refused else f"{score.value:.2f} ({score.low:.2f} to {score.high:.2f})"
