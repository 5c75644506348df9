"""The table of methods in the documentation: ``python -m vizlib.catalog.method_table`` writes docs/methods.md from the cards."""

from __future__ import annotations

from pathlib import Path

from vizlib.catalog.methods import METHODS, MethodCard, Option

DOCUMENT = Path("docs/methods.md")
WINGS = {
    "attention": "What they read: attention, down to the pixels",
    "cam": "What they read: the maps of a layer",
    "gradient": "What they read: gradients",
    "perturbation": "What they read: answers to changed pictures",
}
INTRODUCTION = """# Methods

Every method with its paper and its options. Options are given as in `vizlib.explain(model, image, "rollout", head_fusion="max")`, or as
`--option head_fusion=max` of `vizlib explain`. For each method it says

- whether the map is another one for each class, or the same for all of them;
- whether the map tells evidence for the target from evidence against it, or has no sign: then it only says how much a place counts;
- whether it needs gradients, or forward passes alone;
- the passes: about how many pictures go through the model for one map.

Which methods find what a model rests on is measured in [the exam](exam.md). This page is written by `python -m vizlib.catalog.method_table`
from the cards that `vizlib.methods()` gives; `vizlib methods NAME` prints one.
"""


def as_markdown() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for wing, title in WINGS.items():
        cards = [card for card in METHODS.values() if card.wing == wing]
        parts.append(f"## {title}\n\n" + "\n".join(_card(card) for card in cards))
    return "\n".join(parts)


def _card(card: MethodCard) -> str:
    facts = [
        "another map for each class" if card.class_specific else "the same map for every class",
        "for and against the target" if card.signed else "no sign",
        "needs gradients" if card.needs_gradient else "forward passes alone",
        f"a pass for each {card.each}" if card.each else f"{card.passes:,} pass{'' if card.passes == 1 else 'es'}",
    ]
    lines = [f"### `{card.name}`: {card.title}", "", f"{card.summary} {', '.join(facts).capitalize()}.", ""]
    lines += [f"[{card.paper}]({card.paper_url})", ""]
    if card.options:
        lines += ["| option | default | what it does |", "|---|---|---|", *(_option(option) for option in card.options), ""]
    return "\n".join(lines)


def _option(option: Option) -> str:
    choices = f" One of {', '.join(f'`{choice}`' for choice in option.choices)}." if option.choices else ""
    words = f"{option.help.replace('|', chr(92) + '|')}.{choices}"
    default = f"`{option.default}`" if option.default != "" else "empty"
    return f"| `{option.name}` | {default} | {words} |"


if __name__ == "__main__":
    DOCUMENT.write_text(as_markdown(), encoding="utf-8")
