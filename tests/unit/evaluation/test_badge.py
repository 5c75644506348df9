"""The verdict over a map: every branch of the rule, and a method broken on purpose."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluate import MODEL, X

import vizlib
from vizlib.catalog.methods import method_card
from vizlib.evaluation.badge import Badge, badge
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.sanity_checks import CHECKS, Check, sanity_checks
from vizlib.evaluation.score import Score


def judged(good: str, passed: str = "head cascade class") -> Badge:
    """The badge of a map whose scores and checks of these names are good."""
    names = ("deletion", "insertion", "sensitivity_n", "infidelity")
    scores = {name: Score(0.5, 0.4, 0.6, 97.0, 0.4, good=name in good.split(), higher=name[0] in "is", definition="how") for name in names}
    scores["max_sensitivity"] = Score(0.5, 0.5, 0.5, None, None, None, higher=False, definition="how")
    checks = {
        name: Check(name, name.title(), 0.1, name in passed.split(), f"why {name}.", "how", np.zeros((2, 2)))
        for name in ("head", "cascade", "class")
    }
    return badge(scores, checks)


def test_every_branch_of_the_rule() -> None:
    whole = judged("deletion insertion sensitivity_n")
    assert (whole.verdict, whole.passed, whole.tests) == ("passed", 6, 7)
    known = "It predicts the model's answer better than maps that know nothing"
    assert whole.words == f"{known} (though not by infidelity, which a map may lack), and changes when the model does."
    assert judged("deletion insertion sensitivity_n infidelity").words == f"{known}, and changes when the model does."
    assert judged("deletion insertion").verdict == "mixed"
    assert judged("deletion insertion").words.endswith("but fails in: sensitivity-n; and in infidelity, which a map may lack.")
    assert judged("sensitivity_n").verdict == "mixed"
    assert judged("deletion").verdict == "failed"  # which pixels scattered at random may have too
    assert judged("infidelity").verdict == "failed"
    assert judged("infidelity").words.endswith("is not shown: insertion and sensitivity-n decide, and neither is good.")
    assert judged("deletion insertion sensitivity_n infidelity").passed == 7
    assert judged("deletion insertion sensitivity_n", "head class").verdict == "failed"
    half = judged("deletion insertion sensitivity_n", "cascade class")
    assert half.verdict == "mixed"
    assert "head" in half.words
    assert "cascade" in judged("deletion insertion sensitivity_n", "head class").words
    assert whole.lines[0] == ("Deletion", True, "0.500: better than 97 % of 20 random smooth maps, behind a Gaussian in the middle.")
    assert whole.lines[1][2].endswith("ahead of a Gaussian in the middle.")
    assert whole.lines[-1] == ("Class", True, "why class.")
    assert "max" not in " ".join(title.lower() for title, _, _ in whole.lines)


def test_which_checks_decide_is_said_by_their_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, card in CHECKS.items() if card.decisive] == ["cascade"]
    for name, card in CHECKS.items():
        monkeypatch.setitem(CHECKS, name, replace(card, decisive=name == "head"))
    assert judged("deletion insertion sensitivity_n", "head class").verdict == "mixed"
    failed = judged("deletion insertion sensitivity_n", "cascade class")
    assert (failed.verdict, failed.words) == ("failed", "It does not tell of what the model learned, which “Head” decides: why head.")
    with pytest.raises(vizlib.MethodError, match=r"and the head check; .*head is missing"):
        badge({}, {})


def test_a_badge_needs_what_it_stands_on() -> None:
    with pytest.raises(vizlib.MethodError, match=r"insertion, sensitivity_n, cascade is missing"):
        badge({"deletion": Score(0.5, 0.5, 0.5, 97.0, 0.4, good=True, higher=False, definition="how")}, {})


def shuffling(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Break a method: its pixels are dealt out anew, always in the same way."""
    module = importlib.import_module(method_card(method).module)
    sound = module.explain

    def broken(model, x, targets, options):
        goals, found = sound(model, x, targets, options)
        order = torch.randperm(found[0].input_map.numel(), generator=torch.Generator().manual_seed(5))
        return goals, [replace(one, input_map=one.input_map.flatten()[order].view_as(one.input_map)) for one in found]

    monkeypatch.setattr(module, "explain", broken)


@pytest.mark.parametrize("name", ["by construction", "vit_tiny50"])
def test_a_broken_method_fails_where_the_sound_one_passes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    method = "input_x_gradient"
    model, image, target = MODEL, X[0], 1
    if name != "by construction":
        from skimage import data

        method, model, image, target = "relevance", vizlib.load(name), data.chelsea(), None
        monkeypatch.setattr("vizlib.evaluation.protocol.RANDOM_MAPS", 4)
    sound = vizlib.explain(model, image, method, target)
    yardstick, metrics = FaithfulnessScorer(model, image, target), ["deletion", "insertion", "sensitivity_n", "infidelity"]
    whole = badge(yardstick.score(sound, metrics), sanity_checks(model, image, sound))
    shuffling(monkeypatch, method)
    broken = vizlib.explain(model, image, method, target)
    verdict = badge(yardstick.score(broken, metrics), sanity_checks(model, image, broken))
    assert whole.verdict == "passed"
    assert verdict.verdict == "failed"
    assert whole.passed > verdict.passed
    # The map of the sound method, shuffled afterwards, fails as well.
    torn = replace(sound, input_map=broken.input_map)
    monkeypatch.undo()
    assert badge(yardstick.score(torn, metrics), sanity_checks(model, image, torn)).verdict == "failed"
