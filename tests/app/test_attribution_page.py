"""The page of attributions: maps of many methods, the proof under each, what a region carries; nothing that fails takes it down."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from app_helpers import ROOT, image_bytes, messages, said, settled
from scipy.stats import rankdata

import vizlib
from vizlib import Score
from vizlib.catalog.methods import METHODS
from vizlib.engine import worker_memory
from vizlib.engine.progress import told_to
from vizlib.evaluation import sanity_checks
from vizlib.evaluation.badge import Badge
from vizlib.evaluation.exams import Mark
from vizlib.evaluation.measured import RegionScore
from vizlib.evaluation.weight_randomization import blocks_below, head_of, weighted_modules_top_down
from vizlib.figures import attribution_pictures
from vizlib.figures.numbers import decimal, percent
from vizlib.ui.core import job_slots
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.model_choice import ModelChoice
from vizlib.ui.core.model_service import service
from vizlib.ui.core.pictures import sample
from vizlib.ui.pages.attribution import downloads as files
from vizlib.ui.pages.attribution import exam, map_grid_data, method_detail, scheduler, sections
from vizlib.ui.pages.attribution import text as attribution_words
from vizlib.ui.pages.attribution.cascade_titles import step_titles
from vizlib.ui.pages.attribution.region import pack_region_score, unpack_region
from vizlib.ui.sections import proof as proofs
from vizlib.ui.sections import trust
from vizlib.zoo.cards import all_cards

TWO = {"vit_tiny50.methods": "rollout,saliency"}


@pytest.fixture
def page(visit):
    def start(**address):
        return visit("pages/attribution.py", **{name.replace(".", "__"): value for name, value in address.items()})

    return start


@pytest.fixture
def unproven(monkeypatch):
    """Proofs that cost nothing, for tests of what is around them."""
    made = proofs.Proof({}, {}, Badge("mixed", "Made up.", 1, 2, ()), None, (), 0.0)
    monkeypatch.setattr(proofs, "measure_proof", lambda *_: made)
    service().dispatcher.results.clear()
    yield
    service().dispatcher.results.clear()


@pytest.fixture
def coarsely(monkeypatch):
    """Curves in four parts and three random maps: what is tested is that the page shows what the library measured."""
    monkeypatch.setattr("vizlib.evaluation.protocol.PARTS", 4)
    monkeypatch.setattr("vizlib.evaluation.protocol.RANDOM_MAPS", 3)
    service().dispatcher.results.clear()
    worker_memory.forget("vit_tiny50")
    yield
    service().dispatcher.results.clear()
    worker_memory.forget("vit_tiny50")


def wall(at):
    (message,) = messages(at, "map_grid")
    return unpack(message)


def done(at):
    """The page after all its work, drawn as often as a browser would ask for it."""
    for _ in range(60):
        settled(at)
        if not wall(at)[0]["busy"]:
            return at
        at.run()
    raise AssertionError(wall(at)[0]["status"])


def cards(at):
    return {card["name"]: card for card in wall(at)[0]["cards"]}


def drawn(values):
    """Numbers of a chart, which travel as bytes where they came as an array."""
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]) if isinstance(values, dict) else np.array(values)


def values(at, name):
    """A map as the browser reads it, in the method's own unit."""
    header, arrays = wall(at)
    card = next(card for card in header["cards"] if card["name"] == name)
    low, high = card["ends"]
    return (low + arrays[f"{name}.map"] / 65535 * (high - low)) * card["unitValue"]


def test_opens_on_twelve_maps_and_their_badges(page, unproven):
    at = page()
    assert at.title[0].value == "Attribution"
    shown = cards(done(at))
    assert list(shown) == attribution_words.in_order(vizlib.load("vit_tiny50").card.methods)[:12]
    assert {card["state"] for card in shown.values()} == {"done"}
    assert {card["badge"]["text"] for card in shown.values()} == {"1 of 2 passed"}
    model = vizlib.load("vit_tiny50")
    for name in ("rollout", "saliency", "leave_one_out"):
        made = vizlib.explain(model, sample("coffee").pixels, name)
        assert np.abs(values(at, name) - made.input_map).max() <= 1e-4 * np.abs(made.input_map).max()
        assert shown[name]["unitValue"] == pytest.approx(np.abs(made.input_map).mean())
        assert shown[name]["signed"] == METHODS[name].signed
    assert "12 of 12 maps" in wall(at)[0]["status"]
    assert dict(at.query_params) == {}
    assert "no attention" not in said(at)
    assert "Guided backpropagation" in said(at)  # named, with the reason
    assert "The picture; hatched in the maps: not seen by the model" in said(at)  # on a telephone they lie below it, not beside it
    assert not any(
        one.caption for images in at.get("imgs") + at.get("image") for one in images.proto.imgs
    )  # those are as narrow as a tower


def test_a_badge_is_the_librarys(page, coarsely):
    from vizlib.evaluation.badge import badge
    from vizlib.evaluation.faithfulness import FaithfulnessScorer
    from vizlib.evaluation.metrics import metrics_named
    from vizlib.evaluation.sanity_checks import sanity_checks

    at = done(page(**{"vit_tiny50.methods": "relevance"}))
    model, picture = vizlib.load("vit_tiny50"), sample("coffee").pixels
    made = vizlib.explain(model, picture, "relevance")
    scores, checks = FaithfulnessScorer(model, picture).score(made), sanity_checks(model, picture, made)
    found = badge(scores, checks)
    told = cards(at)["relevance"]["badge"]
    assert (told["state"], told["words"]) == (found.verdict, found.words)
    assert told["lines"] == attribution_words.lines(scores, checks)
    assert [line["title"] for line in told["lines"]][:5] == [metric.title for metric in metrics_named()]
    charts = {one.proto.id.rsplit("attribution.", 1)[-1]: json.loads(one.proto.spec) for one in at.get("plotly_chart")}
    line = charts["deletion"]["data"][-1]
    assert line["name"] == "Attention relevance"
    assert drawn(line["y"])[0] == pytest.approx(vizlib.predict(model, picture)[0].probability, abs=1e-5)
    assert np.trapezoid(drawn(line["y"]), drawn(line["x"])) == pytest.approx(scores["deletion"].value)


def test_a_link_restores_the_view(page, unproven):
    asked = {
        "sample": "rocket", "model": "resnet_tiny50", "fit": "pad", "resnet_tiny50.methods": "occlusion,grad_cam", "target": "3",
        "minus": "5", "depth": "occlusion", "pair": "occlusion~grad_cam", "scale": "one", "opacity": "0.3", "occlusion.window": "0.5",
    }  # fmt: skip
    at = done(page(**asked))
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == asked
    header, arrays = wall(at)
    assert header["view"] == {"scale": "one", "opacity": 0.3}
    assert [card["name"] for card in header["cards"] if card["on"]] == ["occlusion"]
    made = vizlib.explain(vizlib.load("resnet_tiny50"), sample("rocket").pixels, "occlusion", (3, 5), "pad", window=0.5)
    assert np.abs(values(at, "occlusion") - made.input_map).max() <= 1e-4 * np.abs(made.input_map).max()
    assert (arrays["content"] == made.geometry.content).all()
    assert not arrays["content"].all()
    assert at.selectbox(key="attribution.depth").value == "occlusion"


@pytest.mark.parametrize(
    "address",
    [
        {"model": "nobody", "depth": "magic", "pair": "a~b", "target": "x", "scale": "huge", "opacity": "7"},
        {"target": "999", "minus": "-7"},
    ],
)
def test_odd_links(page, unproven, address):
    at = done(page(**TWO, **address))
    assert list(cards(at)) == ["rollout", "saliency"]
    assert wall(at)[0]["view"] == {"scale": "own", "opacity": 0.6}
    assert at.selectbox(key="attribution.target").value == -1


def test_two_classes_of_which_one_is_the_answer(page, unproven):
    at = done(page(**TWO))
    answer = vizlib.predict(vizlib.load("vit_tiny50"), sample("coffee").pixels, top=2)
    at.selectbox(key="attribution.minus").set_value(answer[1].index).run()
    done(at)
    made = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "saliency", (answer[0].index, answer[1].index))
    assert np.abs(values(at, "saliency") - made.input_map).max() <= 1e-4 * np.abs(made.input_map).max()
    at.selectbox(key="attribution.minus").set_value(answer[0].index).run()
    assert "That is the same class" in said(done(at))


def test_a_method_that_fails_takes_nothing_down(page, unproven, monkeypatch):
    explain = vizlib.explain

    def broken(model, image, method, *rest, **options):
        if method == "saliency":
            raise RuntimeError("a bug")
        return explain(model, image, method, *rest, **options)

    monkeypatch.setattr(vizlib, "explain", broken)
    at = done(page(**TWO))
    shown = cards(at)
    assert shown["rollout"]["state"] == "done"
    assert (shown["saliency"]["state"], shown["saliency"]["refusal"]) == ("refused", scheduler.BROKEN)
    assert wall(at)[0]["status"].startswith("1 of 2 maps (1 has none)")
    assert "(1 has none)" in wall(at)[0]["status"].split("·")[1]
    assert "choose another method above" in said(at)  # and nothing is waited for
    assert len(at.header) == 5


def test_a_proof_that_fails_says_so(page, monkeypatch):
    def refused(*_):
        raise vizlib.MethodError("No proof today.")

    monkeypatch.setattr(proofs, "measure_proof", refused)
    service().dispatcher.results.clear()
    at = done(page(**TWO))
    assert cards(at)["rollout"]["badge"] | {"lines": []} == {"state": "none", "text": "no score", "words": "No proof today.", "lines": []}
    assert "No proof today." in said(at)


def test_a_model_without_a_head_that_is_fetched_when_asked(page, loads):
    name = "vit_small_patch14_dinov2.lvd142m"
    loads(lambda name, progress: vizlib.load(name, checkpoint="random", image_size=56))
    at = page(model=name)
    at.button(key=f"fetch.{name}").click().run()
    shown = cards(done(at))
    assert list(shown) == ["rollout", "attention", "eigen_cam"]
    assert {card["state"] for card in shown.values()} == {"done"}
    assert {card["badge"]["text"] for card in shown.values()} == {"not measured"}
    assert "no classes" in said(at)
    at.button(key="attribution.prove.ask").click().run()
    assert {card["badge"]["text"] for card in cards(done(at)).values()} == {"no score"}
    assert "no class" in cards(at)["rollout"]["badge"]["words"]


def test_heavy_methods_show_a_first_look_before_the_rest(page, unproven, monkeypatch):
    asked = []
    explain = vizlib.explain

    def noted(model, image, method, *rest, **options):
        asked.append((method, options.get("samples")))
        return explain(model, image, method, *rest, **options)

    monkeypatch.setattr(vizlib, "explain", noted)
    at = done(page(**{"vit_tiny50.methods": "rise,lime,rollout"}, **{"rise.samples": "200"}))
    assert asked == [("rollout", None), ("rise", 50), ("lime", 50), ("rise", 200), ("lime", 300)]
    assert cards(at)["rise"]["state"] == "done"
    asked.clear()
    at.selectbox(key="attribution.depth").set_value("lime").run()
    done(at)
    assert asked == []  # looking closer makes no map again


@pytest.mark.parametrize(
    ("gradient", "why"), [("libra", "from biases, and from learned tokens where the model has any."), ("plain", "do not keep the sum")]
)
def test_what_a_balanced_gradient_keeps_is_said_in_its_own_numbers(gradient, why):
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "balanced", gradient=gradient)
    text = attribution_words.facts(explanation)
    total, score = float(explanation.input_map.sum()), float(explanation.logits[explanation.target])
    assert max(abs(total), abs(score)) < 10
    assert f"the map adds up to {total:.2f}, and the score is {score:.2f}; ".replace("-", "\u2212") in text
    assert why in text
    assert ("plain" in text) == (gradient == "plain")


def looked(name, **chosen):
    """What is said of a first look, and the options it is made with, where these are chosen."""
    request = scheduler.ExplainRequest(None, None, None, None, {name: METHODS[name].resolve(chosen)})
    cheaper = request.given(name, coarse=True)
    return attribution_words.first_look(name, request.given(name, coarse=False), cheaper), cheaper


@pytest.mark.parametrize(
    ("name", "chosen", "said", "made"),
    [
        ("rise", {}, "50 of 400 samples", {"samples": 50}),
        ("rise", {"samples": 2000}, "50 of 2,000 samples", {"samples": 50}),
        ("shapley_sampling", {"orders": 3}, "1 of 3 orders", {"orders": 1}),
        ("occlusion", {}, "steps 2\u00a0times as long", {"stride": 0.25}),
        ("occlusion", {"stride": 0.1}, "steps 2.5\u00a0times as long", {"stride": 0.25}),
        ("feature_ablation", {"pieces": 80}, "about 10 pieces instead of 80", {"pieces": 10}),
        ("patching", {"cells": 5}, "at most 3 regions along each side, not 5", {"cells": 3}),
        ("integrated_gradients", {}, "4 of 32 steps, a gap of 5.0\u00a0% not enforced", {"steps": 4, "max_gap": 1.0}),
        ("integrated_gradients", {"steps": 2, "max_gap": 1.0}, "", {"steps": 2, "max_gap": 1.0}),
        ("rise", {"samples": 20}, "", {"samples": 20}),  # nothing is left out of what is cheap already
    ],
)
def test_a_first_look_is_told_beside_the_options_that_are_chosen(name, chosen, said, made):
    text, cheaper = looked(name, **chosen)
    assert text == ": ".join(filter(None, ["first look", said]))
    assert cheaper == METHODS[name].resolve(chosen) | made


def test_options_that_are_chosen_are_told_where_the_method_is_described(page, unproven):
    at = done(page(**{"vit_tiny50.methods": "attention,grad_cam", "depth": "attention", "attention.layer": "-2", "attention.head": "1"}))
    told = "layer \u22122, head 1 (from 0)"
    assert cards(at)["attention"]["note"].endswith(f" \u00b7 {told}")
    assert "\u00b7" not in cards(at)["grad_cam"]["note"]
    assert f"Here it has other options: {told}." in said(at)
    assert "not with those chosen above: Raw attention." in said(at)  # of those that sit the exam
    at.selectbox(key="attribution.depth").set_value("grad_cam").run()
    assert "other options" not in said(done(at))


@pytest.mark.parametrize(("gaussian", "told"), [(0.41352, ("0.4139", "0.4135")), (0.2, ("0.414", "0.200")), (0.4139, ("0.414", "0.414"))])
def test_a_score_and_the_gaussian_that_it_is_held_against_do_not_read_alike(gaussian, told):
    line = attribution_words.score_line(
        "sensitivity_n", Score(0.4139, 0.4, 0.42, 100.0, gaussian, good=True, higher=True, definition="a rule")
    )
    assert (line["value"], line["beside"].split()[-1]) == told


@pytest.mark.parametrize(
    ("value", "low", "high", "gaussian", "told"),
    [
        (0.99999, 0.99998, 0.999996, 0.999999, ("0.99999", "0.99998 to 1.00000", "Gaussian in the middle 1.00000")),
        (0.9999997, 0.9999996, 0.9999998, 0.9999999, ("1.000", "", "Gaussian in the middle 1.000, the same up to 6 digits")),
        (0.7, 0.6, 0.8, 0.7, ("0.700", "0.600 to 0.800", "Gaussian in the middle 0.700")),
        (1.0, 0.99999, 1.0, 0.5, ("1.000", "", "Gaussian in the middle 0.500")),
    ],
)
def test_a_score_lies_within_the_range_that_is_told_beside_it(value, low, high, gaussian, told):
    line = attribution_words.score_line(
        "infidelity", Score(value, low, high, 35.0, gaussian, good=False, higher=False, definition="a rule")
    )
    span, *_, beside = line["beside"].split("; ")
    assert line["value"].startswith(told[0])
    assert span == (f"{told[1]} over baselines" if told[1] else "better than 35\u00a0% of 20 random smooth maps")
    assert beside == told[2]


def test_from_where_on_a_score_is_passed_is_said_beside_it():
    ninety = Score(0.4, 0.4, 0.4, 90.0, 0.5, good=False, higher=False, definition="A rule.")
    assert attribution_words.score_line("deletion", ninety)["rule"].startswith("A rule. Passed where it is better than at least 95\u00a0%")
    empty = Score(math.nan, math.nan, math.nan, None, None, good=None, higher=False, definition="A rule.")
    line = attribution_words.score_line("max_sensitivity", empty)
    assert (line["value"], line["beside"]) == ("none", "a map of zeros has no size that changes could be a share of")
    even = attribution_words.score_line("deletion", replace(ninety, percentile=100.0))
    assert even["beside"].endswith("; but the map is the same everywhere, so its pixels went in a random order")
    assert "random order" not in attribution_words.score_line("deletion", ninety)["beside"]
    alone = Score(0.4, 0.4, 0.4, None, None, good=None, higher=False, definition="A rule.")
    assert attribution_words.score_line("max_sensitivity", alone)["rule"] == "A rule."


def test_every_first_look_leaves_out_what_it_says():
    for name, card in METHODS.items():
        assert card.resolve(card.coarse) != card.resolve({}) or not card.coarse, name
        text, cheaper = looked(name)
        assert {option: cheaper[option] for option in card.coarse} == dict(card.coarse), name
        assert len(text.split(", ")) >= max(1, len(card.coarse)), name


def test_what_lies_outside_of_the_picture_is_told_as_the_method_has_it():
    model, picture = vizlib.load("vit_tiny50"), sample("coffee").pixels
    one = attribution_words.facts(vizlib.explain(model, picture, "attention"))
    assert "of this attention lies on learned tokens or padding, not on the picture." in one
    assert "walk" not in one
    walk = vizlib.explain(model, picture, "rollout")
    text = f"**{percent(walk.sink)}** of the walk ends in learned tokens or padding, not in the picture."
    assert text in attribution_words.facts(walk)
    halved = replace(walk, without_artifacts=walk.input_map / 2)  # what is drawn is what is told of
    left = 1 - float(walk.input_map.sum()) / 2
    assert f"**{percent(left)}** of the walk" in attribution_words.facts(halved)


def test_a_badge_that_is_stopped_or_next_is_not_said_to_wait_for_maps():
    badge = map_grid_data._badge
    state = scheduler.MethodState("rollout")
    words = {
        (stopped, there): badge(state, prove=True, stopped=stopped, all_settled=there)["words"]
        for stopped in (False, True)
        for there in (False, True)
    }
    assert words[False, False] == "The badge comes once all maps are there."
    assert words[False, True].startswith("All maps are there")
    assert all(words[True, there].startswith("Stopped") for there in (False, True))


def test_stop_and_go_on(page, unproven, monkeypatch):
    at = page(**TWO)
    monkeypatch.setattr(scheduler, "AT_ONCE", 0)
    at.session_state["attribution.scheduler"].stopped = True
    at.run()
    header, _ = wall(at)
    assert header["stopped"]
    assert not header["busy"]
    monkeypatch.undo()
    at.session_state["attribution.scheduler"].stopped = False
    assert {card["state"] for card in cards(done(at.run())).values()} == {"done"}


def test_a_newer_question_stops_the_older_one(page, unproven):
    at = page(**TWO)
    scheduler = at.session_state["attribution.scheduler"]
    at.selectbox(key="attribution.target").set_value(7).run()
    assert scheduler.stopped
    assert at.session_state["attribution.scheduler"] is not scheduler
    assert all(
        key[0][-1][-1].startswith("7/") for slot, key in at.session_state["job_slots.slots"].items() if slot.startswith("attribution.map.")
    )


@pytest.mark.parametrize("name", ["rollout", "occlusion"])
def test_a_scale_is_of_what_is_on_the_picture(name):
    made = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, name, fit="pad")
    content = made.geometry.content
    found = map_grid_data.scaled_map(made, content)
    inside = made.input_map[content]
    assert found.unit_value == pytest.approx(np.abs(inside).mean())
    assert np.abs(found.values[content]).mean() == pytest.approx(1)
    quantile = np.quantile(np.abs(inside), 0.99) / found.unit_value
    assert found.top == pytest.approx(quantile if found.signed else max(quantile, 2.0))
    assert found.highest == pytest.approx(np.abs(inside).max() / found.unit_value)
    assert found.ends("own") == (0.0, found.top)
    assert found.ends("max") == (0.0, found.highest)
    assert found.ends("stretch") == (found.low, found.top)
    assert found.ends("one", 9.0) == (0.0, 9.0)
    empty = map_grid_data.scaled_map(
        vizlib.explain(vizlib.load("vit_tiny50"), np.zeros((8, 8, 3), np.uint8), name), np.ones((64, 64), bool)
    )
    assert np.isfinite(empty.values).all()


@pytest.mark.parametrize(
    ("size", "mode"), [((1, 1), "RGB"), ((1200, 9), "RGB"), ((60, 200), "L"), ((80, 80), "RGBA")], ids=["pixel", "wide", "grey", "clear"]
)
def test_odd_pictures(page, unproven, size, mode):
    at = page(**TWO)
    at.file_uploader[0].set_value(("odd.png", image_bytes(size, mode), "image/png")).run()
    done(at)
    assert not at.error
    assert {card["state"] for card in cards(at).values()} == {"done"}


def test_a_text_that_calls_itself_a_picture(page, unproven):
    at = page(**TWO)
    at.file_uploader[0].set_value(("notes.png", b"not a picture", "image/png")).run()
    done(at)
    assert len(at.error) == 1
    assert "The picture before it is still shown." in at.error[0].value


def test_no_method_leaves_the_rest_of_the_page(page):
    at = page(**{"vit_tiny50.methods": ""})
    assert "Choose a method above." in said(at)
    assert [one.value for one in at.header] == ["Ask the model itself", "The exam, where the right answer is known"]


def mask_text(mask):
    return base64.b64encode(np.packbits(mask).tobytes()).decode()


def test_a_region_comes_back_from_the_browser():
    mask = np.random.default_rng(0).random((9, 7)) > 0.5
    assert (unpack_region(mask_text(mask), (9, 7)) == mask).all()
    for text in ("", "!", "AAAA", mask_text(np.ones((10, 10), bool))):
        assert unpack_region(text, (9, 7)) is None


def test_a_region_says_what_it_carries(page, unproven):
    from vizlib.evaluation.region_score import region_score

    at = done(page(**TWO))
    (message,) = messages(at, "region_brush")
    assert "rows" not in unpack(message)[0]
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:40] = True
    at.session_state["attribution.region"]["text"] = mask_text(mask)
    settled(at.run())
    header, _ = unpack(messages(at, "region_brush")[0])
    expected = region_score(vizlib.load("vit_tiny50"), sample("coffee").pixels, mask)
    assert [row["value"] for row in header["rows"]] == pytest.approx(
        [one[0] for one in (expected.whole, expected.kept, expected.hidden, expected.empty)]
    )
    assert header["words"].startswith("This region is 19\u00a0% of what the model gets.")


def carried(brings, loses, **how):
    one = (0.5, 0.4, 0.6)
    return pack_region_score(RegionScore(one, one, one, one, 0.2, brings, loses, "how"), **how)["words"]


def test_what_a_region_takes_away_is_not_said_to_be_brought():
    assert carried(0.4, 0.7).endswith(
        "Alone it brings 40\u00a0% of the score; without it 70\u00a0% of the score is lost. Scores are logits, the bars probabilities."
    )
    assert carried(-0.1, -0.2).count("Alone it scores less than an empty picture; without it the picture scores more.")
    assert "nothing to carry" in carried(float("nan"), float("nan"))


def test_ranks_and_contours_by_hand():
    held = np.array([[3.0, 1.0, 1.0], [np.nan, 7.0, -2.0]])
    expected = (rankdata([3.0, 1.0, 1.0, 7.0, -2.0]) - 1) / 4
    assert attribution_pictures.ranks(held)[np.isfinite(held)] == pytest.approx(expected)
    one, other, gap = attribution_pictures.rank_pair(held, -held, 6)
    assert one.shape == other.shape == gap.shape == (4, 6, 3)
    assert set(np.unique(gap[2:, :2])) <= {0, 26}  # the hatching of what was not seen, over black
    photo = np.full((40, 40, 3), 200, np.uint8)
    share = np.zeros((40, 40))
    share[10:30, 10:30] = 1.0
    drawn = attribution_pictures.contours(photo, share, ((0.5, (255, 0, 0)),))
    assert (drawn[20, 20] == 150).all()
    assert drawn[20, 10, 0] > 200 > 60 > drawn[20, 10, 1]
    assert (attribution_pictures.contours(photo, np.zeros((40, 40))) == 150).all()


def test_files(page, unproven, monkeypatch):
    at = done(page(**TWO))
    buttons = {one.proto.label: one for one in at.get("download_button")}
    assert list(buttons) == ["PNG", "NPZ", "JSON"]
    model = vizlib.load("vit_tiny50")
    made = {name: vizlib.explain(model, sample("coffee").pixels, name) for name in ("rollout", "saliency")}
    proof = proofs.measure_proof(None, None, None, None)

    class Done:
        request = scheduler.ExplainRequest(ModelChoice("vit_tiny50", card=model.card), sample("coffee"), None, 3, {})

        def states(self):
            return [scheduler.MethodState(name, one, proof=proof) for name, one in made.items()]

    with np.load(io.BytesIO(files.to_npz(Done()))) as arrays:
        assert all(np.array_equal(arrays[name], one.input_map) for name, one in made.items())
    told = json.loads(files.to_json(Done()))
    assert told["methods"]["rollout"]["badge"] == {"verdict": "mixed", "words": "Made up.", "passed": 1, "tests": 2}
    assert told["target"] == 3


def test_the_snippet_runs(page, unproven, coarsely, tmp_path, monkeypatch, capsys):
    at = done(page(minus="3", fit="squash", **{"vit_tiny50.methods": "attention", "attention.layer": "0"}))
    monkeypatch.chdir(tmp_path)
    exec(compile(at.code[0].value, "snippet", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("attention: ")
    told = json.loads((tmp_path / "maps/attention/explanation.json").read_text(encoding="utf-8"))
    assert (told["options"]["layer"], told["fit"], told["target"][1]) == (0, "squash", 3)


def test_an_exam_is_sat_only_when_asked(page, unproven):
    at = done(page(**TWO))
    assert "attribution.exam" not in at.session_state["job_slots.slots"]
    at.session_state["attribution.exam.exams"] = ["known"]
    at.session_state["attribution.exam.methods"] = ["saliency"]
    at.run()
    at.button(key="attribution.exam.start").click().run()
    settled(at)
    table = next(one.value for one in at.markdown if "even map or blob" in one.value)
    report = at.session_state["job_slots.slots"]["attribution.exam"][1].result()
    from vizlib.ui.pages.attribution.exam import report_bytes

    rows = list(csv.DictReader(io.StringIO(report_bytes(report, "csv").decode())))
    assert {row["method"] for row in rows} == {"saliency"}
    table = table.replace("\u00a0", " ")
    assert all(f"**{float(row['value']):.2f}** ({float(row['low']):.2f} to {float(row['high']):.2f})" in table for row in rows)
    assert report_bytes(report, "html").startswith(b"<!doctype html>")
    assert json.loads(report_bytes(report, "json"))


def test_the_cascade_and_the_stability_come_when_asked(page, coarsely):
    at = done(page(**{"vit_tiny50.methods": "grad_cam"}))
    assert "cover together in common" in said(at)
    rows = [line for line in said(at).splitlines() if line.startswith("| :")]
    assert len(rows) == 8
    assert all(line.count(" | ") == 2 for line in rows)  # a third column of words has no room on a telephone
    assert any("**Sensitivity\u2011n** " in line for line in rows)
    assert re.search(r"\d %", said(at)) is None  # a number and its unit stay on one line
    assert f"in {['seven', 'eight', 'nine'][sanity_checks.STEPS - 7]} steps at most" in at.button(key="attribution.cascade.ask").help
    at.button(key="attribution.cascade.ask").click().run()
    settled(at)
    assert "similarity" in said(at)
    assert "**Down to the classifier**" in said(at)
    assert "how alike each map is to that of the model as it is" in said(at)
    assert "**Down to layer 2**" in said(at)
    assert "blocks." not in said(at)
    assert not at.error


def test_files_are_made_where_there_is_no_run(page, unproven):
    at = done(page(**TWO))
    held = at.session_state["attribution.scheduler"]
    made = []
    thread = threading.Thread(target=lambda: made.append((files.to_npz(held), files.to_json(held))))  # as Streamlit makes them
    thread.start()
    thread.join()
    with np.load(io.BytesIO(made[0][0])) as arrays:
        assert set(arrays) == {"rollout", "saliency"}
    assert {row["badge"]["words"] for row in json.loads(made[0][1])["methods"].values()} == {"Made up."}


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("cct_tiny50", "the last norm", ["convolution 2 of the tokenizer", "convolution 1 of the tokenizer", "the embeddings"]),
        ("cvt_tiny50", "the last norm", ["the patch embedding of stage 2", "stage 1, layer 1", "the patch embedding of stage 1"]),
        ("pvt_tiny50", "the last norm", ["stage 1, layer 1", "the patch embedding of stage 1", "the embeddings"]),
        ("t2t_tiny50", "the last norm", ["round 2", "round 1", "the embeddings"]),
        ("resnet_tiny50", "stage 4, layer 2", ["the norm after the stem", "convolution 3 of the stem", "convolution 1 of the stem"]),
    ],
)
def test_the_steps_of_a_cascade_are_called_what_a_reader_calls_them(name, first, last):
    model = vizlib.load(name)
    falling = weighted_modules_top_down(model, torch.zeros(1, 3, *model.card.input_size))
    named = step_titles(model, falling)
    titles = [named[step] for step, _ in blocks_below(falling, falling[:1])]
    assert titles[0] == first
    assert [title for title in titles if title in last] == last
    assert titles[-1] == last[-1]
    assert not any("_" in title or "." in title for title in titles)


@pytest.mark.parametrize(
    ("name", "top", "bottom"),
    [
        (
            "vgg11",
            ["fully connected layer 2", "fully connected layer 1", "convolution 8", "convolution 7"],
            ["convolution 2", "convolution 1"],
        ),
        ("vgg11_bn", ["fully connected layer 2", "fully connected layer 1", "norm 8", "convolution 8"], ["norm 1", "convolution 1"]),
        ("densenet121", ["the last norm", "dense block 4", "transition 3", "dense block 3"], ["the norm after the stem", "the stem"]),
        ("convnext_atto", ["the last norm", "stage 4, layer 2", "stage 4, layer 1", "the downsampling of stage 4"], ["the stem"]),
        ("swin_tiny_patch4_window7_224", ["the last norm", "stage 4, layer 2", "stage 4, layer 1", "the downsampling of stage 4"], []),
        ("efficientnet_lite0", ["the norm after the last convolution", "the last convolution", "stage 7, layer 1"], ["the stem"]),
        ("dla34", ["part 10 of 10", "part 9 of 10"], ["norm 1", "convolution 1"]),
    ],
)
def test_networks_of_other_shapes_have_titles_too(name, top, bottom):
    narrow = {"mlp_ratio": 0.01} if "vgg" in name else {}
    model = vizlib.wrap(timm.create_model(name, num_classes=3, **narrow))
    falling = weighted_modules_top_down(model, torch.zeros(1, 3, *model.card.input_size))
    named = step_titles(model, falling)
    titles = [named[step] for step, _ in blocks_below(falling, head_of(model, falling))]
    assert titles[: len(top)] == top
    assert titles[len(titles) - len(bottom) :] == bottom
    assert len(set(titles)) == len(titles)
    assert not any("_" in title or "." in title for title in titles)


def test_nothing_heavy_is_imported_by_the_sections():
    parts = [path.stem for path in (ROOT / "vizlib" / "ui" / "pages" / "attribution").glob("[a-z]*.py")]
    assert "scheduler" in parts
    names = ", ".join(f"vizlib.ui.pages.attribution.{part}" for part in parts)
    code = f"import sys, {names}; print([one for one in 'torch timm captum cv2 pandas'.split() if one in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_waiting_is_left_clean(page, unproven):
    at = done(page(**TWO))
    at.session_state["attribution.vit_tiny50.methods"] = ["rollout"]
    done(at.run())
    slots = [slot for slot in at.session_state["job_slots.slots"] if "saliency" in slot]
    assert slots == []
    assert job_slots.PATIENCE == 300.0


def test_a_mark_that_passes_is_not_written_as_low_as_what_it_beats():
    mark = Mark("grid", "saliency", "a model", 0.3, 0.2541, 0.35, 0.2512, passed=True, questions=12, unit="share")
    assert exam._cell(mark).endswith("**0.30** (0.254\u00a0to\u00a00.350)")
    assert exam._cell(replace(mark, low=0.28)).endswith("**0.30** (0.28\u00a0to\u00a00.35)")


def test_what_superpixels_add_up_to_is_said_of_them_and_not_of_the_map():
    made = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "shapley_sampling", pieces=10, orders=1)
    pieces = len(np.unique(made.input_map))
    total = made.facts["sum"]
    assert abs(made.input_map.sum()) > 10 * abs(total)  # each pixel carries the value of its piece
    assert f"the values of its {pieces} superpixels add up to {total:.3f}," in attribution_words.facts(made)
    whole = attribution_words.facts(vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "integrated_gradients"))
    assert "the map adds up to" in whole


@pytest.mark.parametrize(
    ("size", "per_row", "width"),
    [((400, 600), 4, "stretch"), ((240, 720), 2, "stretch"), ((240, 1800), 1, "stretch"), ((640, 200), 4, 125), ((9000, 9), 4, 40)],
)
def test_a_pair_of_maps_fits_the_screen_whatever_the_shape_of_the_picture(size, per_row, width):
    assert sections.pair_layout(*size) == (per_row, width)


def test_what_a_map_costs_is_said_of_the_methods_that_fit():
    begin = "Pictures that go through the model for one map: "
    words = attribution_words.cost_words(["rollout", "deeplift", "rise", "occlusion", "leave_one_out"])
    assert words == (
        f"{begin}of the quick methods up to 4 pictures; of RISE and Occlusion about 64 to 400; of Leave one token out one for each token."
    )
    assert attribution_words.cost_words(["rollout"]) == f"{begin}of the quick methods up to 1 picture."
    assert attribution_words.cost_words(["rise"]) == f"{begin}of RISE about 400."
    assert attribution_words.cost_words([]) == ""


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion", "patching", "gradient_shap", "feature_ablation", "leave_one_out"])
def test_what_further_maps_cost_is_near_what_one_did(name):
    sent = []
    with told_to(lambda done, total: sent.append(done)):
        made = vizlib.explain(vizlib.load("resnet_tiny50" if name != "leave_one_out" else "pvt_tiny50"), sample("cat").pixels, name)
    told = attribution_words.pictures_for(made, 12)
    if name == "leave_one_out":  # 17 where a large ViT has hundreds
        assert told == ""
        return
    assert int(re.search(r"[\d,]+", told)[0].replace(",", "")) == pytest.approx(12 * max(sent), rel=0.3)


@pytest.mark.parametrize(
    ("name", "methods", "sought", "environment", "unasked"),
    [
        ("vit_tiny50", ["rise", "lime"], True, "ask", True),  # one opens the page for them
        ("vit_tiny50", ["rise"], False, "ask", False),
        ("vit_tiny50", ["rise"], False, "", True),
        ("tf_efficientnet_lite0", ["hires_cam"], True, "", True),
        ("tf_efficientnet_lite0", ["hires_cam"], True, "ask", False),
        ("tf_efficientnet_lite0", ["hires_cam", "saliency"], True, "", False),  # together they take longer than a minute
    ],
)
def test_one_rule_says_which_badges_are_measured_unasked(monkeypatch, name, methods, sought, environment, unasked):
    monkeypatch.setenv(trust.BADGES_VARIABLE, environment)
    side = 64 if name == "vit_tiny50" else 224
    assert trust.measured_unasked(ModelChoice(name, card=all_cards()[name]), side * side, methods, sought=sought) == unasked


def test_a_pair_of_classes_is_told_in_its_own_units(page, unproven):
    from vizlib.evaluation.region_score import region_score
    from vizlib.evaluation.sanity_checks import sanity_checks

    at = done(page(**TWO, minus="3"))
    answer = vizlib.predict(vizlib.load("vit_tiny50"), sample("coffee").pixels, top=1)[0]
    assert f"The score is the logit of {answer.label} less that of" in said(at)
    assert "as if there were only these two classes" in carried(0.4, 0.7, pair=True)
    model, picture = vizlib.load("vit_tiny50"), sample("coffee").pixels
    half = np.arange(64 * 64).reshape(64, 64) < 2000
    assert "the difference of the two logits" in region_score(model, picture, half, (answer.index, 3)).definition
    assert "(logit)" in region_score(model, picture, half).definition
    made = vizlib.explain(model, picture, "saliency", (answer.index, 3))
    check = sanity_checks(model, picture, vizlib.explain(model, picture, "input_x_gradient", (answer.index, 3)))["class"]
    assert check.runs == 1
    assert check.reason.startswith("For the reverse it is another map")
    assert method_detail.check_note(check) == f"similarity {decimal(check.similarity)}"
    check = sanity_checks(model, picture, made)["class"]  # without a sign the reverse is the same map
    assert check.runs == 4
    assert method_detail.check_note(check).endswith("over 4 classes; one of their maps")


def test_the_ends_of_colours_in_the_file_are_of_what_is_on_the_picture():
    content = np.zeros((4, 4), np.uint8)
    content[:2] = 1
    values = np.zeros((4, 4))
    values[0, :2] = (3.0, -3.0)
    signed = map_grid_data.ScaledMap(values, 1.0, 0.0, 2.0, 3.0, signed=True)
    assert files.scale_words(signed, 0.0, 2.0, content) == "colours to \u00b12\u00d7, 25\u00a0% beyond"
    plain = map_grid_data.ScaledMap(np.abs(values), 1.0, 0.2, 3.0, 3.0, signed=False)
    assert files.scale_words(plain, 0.2, 3.0, content) == "colours from 0.2\u00d7 to 3\u00d7"
    assert files.scale_words(plain, 0.0, 2.5, content) == "colours to 2.5\u00d7, 25\u00a0% above"
