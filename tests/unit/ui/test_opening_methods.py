"""The method that Explore opens with is one that no other of its cost is clearly ahead of in the exam that is written down."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from vizlib.catalog.methods import METHODS
from vizlib.ui.pages.explore.columns import OPENING_METHODS as OF_MODELS
from vizlib.ui.widgets.method_options import OPENING_METHODS
from vizlib.zoo.cards import bundled_cards

DOCUMENT = (Path(__file__).parents[3] / "docs" / "exam.md").read_text(encoding="utf-8")
GUIDED = ("guided_backprop", "guided_grad_cam")  # they hardly change with the weights: Adebayo et al. 2018
Mark = tuple[float, float, float]


def marks(title: str) -> dict[str, dict[str, Mark]]:
    """The marks of a section by method's title and model: value, low, high."""
    body = DOCUMENT.split(f"## {title}\n")[1].split("\n## ")[0]
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("|"))
    found: dict[str, dict[str, Mark]] = {}
    for name, *cells in rows:
        numbers = {model: re.match(r"([\d.]+) \(([\d.]+) to ([\d.]+)\)", cell) for model, cell in zip(head[1:], cells, strict=True)}
        found[name] = {model: (float(match[1]), float(match[2]), float(match[3])) for model, match in numbers.items() if match}
    return found


def both(title: str, model: str) -> Mark | None:
    """The mean of planted evidence and grid, and its interval."""
    own = [marks(section).get(title, {}).get(model) for section in ("Planted evidence", "Grid pointing game")]
    if own[0] is None or own[1] is None:
        return None
    middle = (own[0][0] + own[1][0]) / 2
    low, high = (math.hypot(*(mark[0] - mark[place] for mark in own if mark)) / 2 for place in (1, 2))
    return middle, middle - low, middle + high


def test_on_the_real_model_explore_opens_with_the_best_that_knows_classes():
    body = DOCUMENT.split("## On a real model\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("|")]
    found = {name: float(planted.split()[0]) + float(grid.split()[0]) for name, planted, grid, _ in rows[2:] if "(" in planted}
    quick = {card.title for card in METHODS.values() if card.class_specific and card.passes <= 4}
    assert len(found) >= 8
    assert METHODS[OF_MODELS["tf_efficientnet_lite0"]].title == max(quick & set(found), key=found.get)


def test_on_the_taught_model_explore_opens_with_the_best_of_those_asked_most_and_the_sums_are_right():
    text = DOCUMENT.split("## On a taught model\n")[1].split("\n## ")[0]
    rows = [re.findall(r"[\d.]+", line) for line in text.splitlines() if line.count("|") == 4 and "to" in line]
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.count("|") == 4 and "to" in line]
    found = {}
    for name, row in zip(names, rows, strict=True):
        planted, low, high, grid, grid_low, grid_high = map(float, row)
        mean = (planted + grid) / 2
        found[name] = (mean, mean - math.hypot(planted - low, grid - grid_low) / 2, mean + math.hypot(high - planted, grid_high - grid) / 2)
    assert len(found) == 4
    opening, plain = METHODS[OF_MODELS["vit_small_saliency"]].title, METHODS[OPENING_METHODS[0]].title
    assert found[opening][0] == max(mean for mean, _, _ in found.values())
    assert found[opening][1] > found[plain][2]
    assert found["Grad-CAM"][1] > found[plain][2]
    for name in (opening, "Grad-CAM", plain):
        assert re.search(rf"{name}\s\({found[name][0]:.2f}\)", text, re.IGNORECASE), name


def test_what_is_said_of_faithfulness_is_in_its_table():
    body = DOCUMENT.split("## Faithfulness beside random maps\n")[1].split("\n## ")[0]
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("|"))
    table = {name: dict(zip(head[1:], cells, strict=True)) for name, *cells in rows if len(cells) == len(head) - 1}
    for card in bundled_cards():
        opening = next(name for name in (OF_MODELS.get(card.name, ""), *OPENING_METHODS) if name in card.methods)
        passed = [name for name, cells in table.items() if "✓" in cells[card.name]]
        assert METHODS[opening].title in passed or not passed, card.name
        assert ("Balanced gradient" in passed) == (card.name != "cct_tiny50")
    means = {name: float(cells[0].split()[0]) for name, *cells in rows if len(cells) == 1 and "(" in cells[0]}
    everywhere = [name for name, cells in table.items() if name in means and all(cells.values())]
    assert max(everywhere, key=means.get) == "Balanced gradient"


@pytest.mark.parametrize("card", bundled_cards(), ids=lambda card: card.name)
def test_no_other_method_is_clearly_ahead_of_the_one_that_explore_opens_with(card):
    opening = next(name for name in (OF_MODELS.get(card.name, ""), *OPENING_METHODS) if name in card.methods)
    own = both(METHODS[opening].title, card.name)
    assert own is not None
    asked = [METHODS[name] for name in card.methods if METHODS[name].class_specific and name not in GUIDED]
    found = {method.name: mark for method in asked if (mark := both(method.title, card.name)) is not None}
    assert len(found) >= 5
    assert [name for name, mark in found.items() if mark[1] > own[2]] == []
