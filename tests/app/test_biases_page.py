from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from app_helpers import image_bytes, messages, said, settled
from scipy import stats

import vizlib
from vizlib.analysis.features.layers import Layer
from vizlib.analysis.perturbation.cards import CARDS
from vizlib.analysis.perturbation.registry import PERTURBATIONS, Aids
from vizlib.analysis.perturbation.response_curves import Response, response, to_pixels
from vizlib.catalog.family import NO_HEAD
from vizlib.claims import Verdict
from vizlib.engine.jobs import Progress
from vizlib.figures import response_charts
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.ui.pages.biases import claims, response_data
from vizlib.ui.pages.biases.claims import CLAIMS, claim_of
from vizlib.ui.pages.biases.response_data import DRAWS, Experiment
from vizlib.ui.widgets.claim_card import BADGES
from vizlib.zoo.cards import all_cards


@pytest.fixture
def page(visit):
    def start(**address):
        at = visit("pages/biases.py", **address)
        assert not at.error
        return at

    return start


def sent(at):
    (message,) = messages(at, "response_lab")
    return unpack(message)


def charts(at):
    return [json.loads(one.proto.spec) for one in at.get("plotly_chart")]


def test_opens_on_a_claim_with_its_curves(page):
    at = page()
    assert at.title[0].value == "Biases"
    header, arrays = sent(at)
    assert [model["title"] for model in header["models"]] == ["ViT", "ResNet", "CCT"]
    assert (header["at"], header["words"][3], header["shared"]) == (0.3, "30\u00a0% of the patches", True)
    assert arrays["0.pictures"].shape == (11, 64, 64, 3)
    assert "1.pictures" not in arrays
    for number, model in enumerate(header["models"]):
        answers = arrays[f"{number}.answers"]
        assert answers.shape == (12, 50)
        assert answers.sum(1) == pytest.approx(1, abs=1e-5)
        assert answers[0].argmax() == model["target"]
    curves, depth = charts(at)
    assert [line["name"] for line in curves["data"]] == ["ViT", "ResNet", "CCT"]
    assert [line["name"] for line in depth["data"]] == ["ViT", "ResNet", "CCT"]
    words = said(at)
    assert "**Claimed:**" in words
    assert "**Measured here:** averaged over all strengths that change something, at most 100\u00a0% at each, ViT keeps" in words
    assert f"means of {DRAWS} draws" in words
    assert dict(at.query_params) == {}


def test_the_numbers_are_those_of_the_library(page):
    _, arrays = sent(page(sample="cat"))
    model = vizlib.load("vit_tiny50")
    x = model.prepare(sample("cat").pixels)
    found = response(model, x, "occlusion", aids=Aids(margin=8.0))
    assert arrays["0.answers"][1:] == pytest.approx(found.probabilities, abs=1e-6)
    shown = PERTURBATIONS["occlusion"](to_pixels(model, x), 0.5)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(arrays["0.pictures"][5] - shown).max() <= 0.5


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_says_what_was_measured(page, claim):
    at = page(claim=claim, models="vit_tiny50,resnet_tiny50")
    header, _ = sent(at)
    preset = CLAIMS[claim]
    assert header["change"] == CARDS[preset.perturbation].title
    assert header["at"] == preset.at
    numbers = {}
    for name in ("vit_tiny50", "resnet_tiny50"):
        model = vizlib.load(name)
        other = to_pixels(model, model.prepare(sample("cat").pixels))[0]
        found = response(model, sample("coffee").pixels, preset.perturbation, aids=Aids(margin=8.0, other=other))
        numbers[name] = preset.measure.read(found)
        draws = [numbers[name]]
        if CARDS[preset.perturbation].seeded:
            others = [response(model, sample("coffee").pixels, preset.perturbation, aids=Aids(seed=seed)) for seed in range(1, DRAWS)]
            draws += [preset.measure.read(other) for other in others]
        numbers[name] = np.array(draws)
        assert preset.measure.write(numbers[name].mean()) in said(at)
    gaps = numbers[preset.more] - numbers[preset.less]
    ends = [preset.measure.least, -preset.measure.least]
    if len(gaps) > 1:
        half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
        ends += [half, -half]
    low, high = gaps.mean() + min(ends), gaps.mean() + max(ends)
    expected = Verdict.SO if low > 0 else Verdict.NOT_SO if high < 0 else Verdict.CANNOT_TELL
    (card,) = (one.value for one in at.markdown if one.value.startswith("**Claimed:**"))
    assert card.endswith(BADGES[expected])


def made(curve, name="occlusion", drift=None):
    strengths = CARDS[name].strengths[: len(curve)]
    answers = np.stack([np.array(curve), 1 - np.array(curve)], 1)
    layers = [Layer(f"layer{number}", (number + 1) / 2, (8, 8), 4, (64, 64)) for number in range(2)]
    moved = np.zeros((2, len(curve))) if drift is None else np.array(drift)
    return Response(name, strengths, np.array([0.8, 0.2]), answers, np.zeros(len(curve)), np.ones(len(curve)), layers, moved)


def test_a_verdict_by_hand():
    strong, weak = made([0.8, 0.6, 0.4]), made([0.8, 0.2, 0.2])
    assert claims.kept(strong) == pytest.approx(0.625)  # 0.6 and 0.4 of 0.8; the strength that changes nothing is left out
    preset = CLAIMS["occlusion"]
    held = claim_of(preset, {"vit_tiny50": strong, "resnet_tiny50": weak})
    assert held.verdict is Verdict.SO
    assert held.measured == (
        "averaged over all strengths that change something, at most 100\u00a0% at each, "
        "ViT keeps 62\u00a0% of its first answer's probability, ResNet 25\u00a0%. "
        "On one picture a difference counts from 3\u00a0percentage\u00a0points on."
    )
    assert claim_of(preset, {"vit_tiny50": weak, "resnet_tiny50": strong}).verdict is Verdict.NOT_SO
    assert claim_of(preset, {"vit_tiny50": strong, "resnet_tiny50": strong}).verdict is Verdict.CANNOT_TELL
    drift = [[0.0, 0.5, 0.1], [0.0, 0.4, np.nan]]
    moved = made([0.8, 0.8, 0.8], "shift", drift)
    assert (claims.best_first_layer(moved), claims.last_layer(moved)) == (0.1, 0.4)


def test_an_abbreviation_stays_one_within_a_sentence():
    assert (CARDS["jpeg"].words, CARDS["shift"].words) == ("JPEG", "shift to the right")


def test_what_an_answer_gains_hides_no_loss():
    torn, steady = made([0.8, 1.0, 0.2]), made([0.8, 0.56, 0.56])
    assert claims.kept(torn) == pytest.approx((1 + 0.25) / 2)  # not (1.25 + 0.25) / 2, which is more than the 0.7 of the other
    assert claim_of(CLAIMS["occlusion"], {"vit_tiny50": torn, "resnet_tiny50": steady}).verdict is Verdict.NOT_SO


def test_a_change_that_leaves_the_picture_as_it_is_tells_nothing(page):
    at = page(claim="shift", models="vit_tiny50,resnet_tiny50")
    assert "leaves this picture as it is" not in said(at)
    at.file_uploader[0].set_value(("plain.png", cv2.imencode(".png", np.full((40, 40, 3), 99, np.uint8))[1].tobytes(), "image/png")).run()
    settled(at)
    (card,) = (one.value for one in at.markdown if one.value.startswith("**Claimed:**"))
    assert "**Measured here:** this change leaves this picture as it is." in card
    assert card.endswith(BADGES[Verdict.CANNOT_TELL])


def test_what_is_drawn_is_so_only_beyond_the_draws():
    strong, weak = made([0.8, 0.6, 0.4]), made([0.8, 0.2, 0.2])
    preset, responses = CLAIMS["occlusion"], {"vit_tiny50": strong, "resnet_tiny50": weak}
    ahead = {"vit_tiny50": np.array([0.6, 0.64, 0.62, 0.62]), "resnet_tiny50": np.array([0.5, 0.5, 0.5, 0.5])}
    assert claim_of(preset, responses, ahead).verdict is Verdict.SO
    torn = {"vit_tiny50": np.array([0.9, 0.2, 0.8, 0.58]), "resnet_tiny50": np.array([0.5, 0.5, 0.5, 0.5])}
    parted = {"vit_tiny50": np.array([0.766, 0.766, 0.767, 0.765]), "resnet_tiny50": np.array([0.344, 0.344, 0.345, 0.343])}
    said = claim_of(preset, responses, parted).measured
    assert "ViT keeps 76.6\u00a0% of its first answer's probability, ResNet 34.4\u00a0%" in said  # not 77 %, 34 % and 42 points
    assert "their difference is +42.2\u00a0percentage points" in said.replace("percentage\u00a0", "percentage ")
    claim = claim_of(preset, responses, torn)  # the same means
    assert claim.verdict is Verdict.CANNOT_TELL
    low, high = stats.t.interval(0.95, 3, 0.12, (torn["vit_tiny50"] - 0.5).std(ddof=1) / 2)
    assert (
        f"ResNet 50\u00a0%, means of 4 draws; their difference is +12\u00a0percentage\u00a0points "
        f"(95\u00a0%: \u2212{-100 * low:.0f} to +{100 * high:.0f})." in claim.measured
    )


def test_a_first_layer_that_does_not_follow_its_shift_exactly_is_not_so():
    moved = {"vit_tiny50": made([0.8] * 3, "shift", [[0, 0.5, 0.4]] * 2), "resnet_tiny50": made([0.8] * 3, "shift", [[0, 0.2, 0.1]] * 2)}
    assert claim_of(CLAIMS["sharing"], moved).verdict is Verdict.NOT_SO
    moved["resnet_tiny50"] = made([0.8] * 3, "shift", [[0, 0.2, 0.01]] * 2)
    claim = claim_of(CLAIMS["sharing"], moved)
    assert claim.verdict is Verdict.SO
    assert claim.measured.startswith(
        "at its best shift the first layer of ViT drifts by 0.40 (at 2\u00a0px), that of ResNet by 0.01 (at 2\u00a0px)."
    )
    moved["vit_tiny50"] = made([0.8] * 3, "shift", [[0, 0.3, 0.4]] * 2)
    assert "ViT drifts by 0.30 (at 1\u00a0px)" in claim_of(CLAIMS["sharing"], moved).measured


def test_a_link_restores_the_view(page):
    asked = {
        "claim": "own", "change": "amplitude", "at": "0.4", "partner": "rocket", "sample": "cat", "models": "cvt_tiny50", "fit": "pad",
        "measure": "kl", "drift": "all",
    }  # fmt: skip
    at = page(**asked)
    header, arrays = sent(at)
    assert (header["at"], header["models"][0]["title"]) == (0.4, "CvT")
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == asked
    assert charts(at)[1]["data"][0]["type"] == "heatmap"
    model = vizlib.load("cvt_tiny50")
    own, other = (to_pixels(model, model.prepare(sample(name).pixels, "pad")) for name in ("cat", "rocket"))
    expected = PERTURBATIONS["amplitude"](own, 1.0, Aids(other=other[0]))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(arrays["0.pictures"][-1] - expected).max() <= 0.5
    assert "**Claimed:**" not in said(at)


@pytest.mark.parametrize(
    ("address", "change", "claim"),
    [
        ({"claim": "local", "change": "blur"}, "Blur", "own"),
        ({"claim": "nonsense", "at": "0.123", "models": "none"}, "Random patches hidden", "occlusion"),
        ({"claim": "own", "change": "blur", "at": "nan"}, "Blur", "own"),
    ],
)
def test_odd_links(page, address, change, claim):
    at = page(**address)
    assert sent(at)[0]["change"] == change
    assert at.session_state["biases.claim"] == claim


def test_a_claim_brings_its_change_and_another_change_leaves_it(page):
    at = page()
    at.get("button_group")[0].set_value("sharing").run()
    settled(at)
    assert sent(at)[0]["change"] == "Shift to the right"
    assert sent(at)[0]["at"] == 8.0
    change = next(one for one in at.selectbox if one.label == "Change")
    change.set_value("jpeg").run()
    settled(at)
    assert sent(at)[0]["change"] == "JPEG"
    assert "**Claimed:**" not in said(at)
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == {"claim": "own", "change": "jpeg"}


def test_salient_patches_come_from_each_models_own_map(page):
    at = page(claim="own", change="salient", models="vit_tiny50,resnet_tiny50")
    header, arrays = sent(at)
    assert not header["shared"]
    assert (arrays["0.pictures"][3] != arrays["1.pictures"][3]).any()
    at = page(claim="own", change="unsalient", salience="rollout", models="vit_tiny50,resnet_tiny50")
    assert [model["title"] for model in sent(at)[0]["models"]] == ["ViT"]
    assert any("ResNet" in one.value or "attention" in one.value for one in at.info)


def test_a_claim_without_its_models_says_which_to_choose(page):
    assert "choose ResNet above to put it to the test" in said(page(models="vit_tiny50"))
    at = page()
    at.multiselect[0].set_value([]).run()
    assert "Choose a model to ask." in said(at)
    assert not messages(at, "response_lab")


@pytest.mark.parametrize(
    ("size", "mode"), [((1, 1), "RGB"), ((900, 12), "RGB"), ((60, 200), "L"), ((80, 80), "RGBA")], ids=["pixel", "wide", "grey", "clear"]
)
@pytest.mark.parametrize("change", ["shift", "salient", "phase"])
def test_odd_pictures(page, size, mode, change):
    at = page(claim="own", change=change, models="vit_tiny50")
    at.file_uploader[0].set_value(("odd.png", image_bytes(size, mode), "image/png")).run()
    settled(at)
    assert not at.error
    assert sent(at)[1]["0.answers"].shape[1] == 50
    assert np.isfinite(sent(at)[1]["0.answers"]).all()


def test_models_of_another_size_are_left_out_with_a_word(page):
    at = page(models="resnet_tiny50,cvt_13")
    assert "cvt_13 takes 224 × 224" in said(at).replace("\\", "")
    header, _ = sent(at)
    assert [model["title"] for model in header["models"]] == ["ResNet"]


def test_a_published_model_is_fetched_only_when_asked(page):
    at = page(models="pvt_v2_b0")
    assert at.button(key="fetch.pvt_v2_b0").label.startswith("Fetch")
    assert "fetched once from" in said(at)
    assert not messages(at, "response_lab")


def test_files():
    model, picture = vizlib.load("vit_tiny50"), sample("coffee")
    answers = response_data.compute_response(Experiment("shift"), model, picture, None, None, Progress())
    rows = list(csv.DictReader(io.StringIO(response_data.responses_csv([answers]))))
    assert len(rows) == 17 * (4 + 6)
    first = answers.response
    drift = [float(row["value"]) for row in rows if row["measure"] == "drift" and row["layer"] == "blocks.5"]
    assert drift == pytest.approx(first.drift[5].tolist(), rel=1e-5)
    shares = [float(row["value"]) for row in rows if row["measure"].startswith("probability of ")]
    assert shares == pytest.approx(first.curve.tolist(), rel=1e-5)
    made = response_charts.strip([("ViT", answers.pictures, ["0"] * 17), ("again", answers.pictures, ["1"] * 17)])
    assert made.dtype == np.uint8
    assert made.shape[1] == 17 * 102 + 6
    places = np.arange(0, 96, 3)  # every third pixel starts a pixel of the picture
    for number in (0, 1):
        tile = made[22:118, 6 + 102 * number : 102 + 102 * number]
        assert (tile[places][:, places] == answers.pictures[number][::2, ::2]).all()


def test_work_stops_when_nobody_waits():
    progress = Progress()
    progress._cancel.set()
    with pytest.raises(vizlib.CancelledError):
        response_data.compute_response(Experiment("blur"), vizlib.load("vit_tiny50"), sample("coffee"), None, None, progress)


@pytest.mark.parametrize("address", [{"claim": "texture"}, {"claim": "own", "change": "salient", "fit": "pad"}])
def test_the_snippet_runs(page, capsys, address):
    code = page(models="vit_tiny50", sample="cat", **address).code[0].value
    exec(compile(code, "snippet", "exec"), {})  # noqa: S102
    assert "vit_tiny50" in capsys.readouterr().out


def test_strengths_read_well():
    known = {
        name: response_data.strength_text(CARDS[name], CARDS[name].strengths[-1])
        for name in ("shift", "shuffle", "jpeg", "noise", "low_pass")
    }
    assert list(known.values()) == [
        "16\u00a0px", "16 × 16 patches", "quality 1", "40\u00a0% of the full range (σ)", "1\u00a0cycle per image at most",
    ]  # fmt: skip


def test_cards_and_changes_are_the_same():
    assert list(CARDS) == list(PERTURBATIONS)
    assert all(getattr(PERTURBATIONS[name], field) == value for name, card in CARDS.items() for field, value in vars(card).items())


def test_a_model_without_classes_is_left_out_with_a_sentence(page, monkeypatch):
    card = all_cards()["vit_tiny50"]
    headless = {**all_cards(), "vit_tiny50": replace(card, refusals=dict(card.refusals) | {"head": NO_HEAD})}
    monkeypatch.setattr("vizlib.ui.core.model_choice.all_cards", lambda: headless)
    at = page(models="vit_tiny50,resnet_tiny50")
    assert [info.value for info in at.info if "no classes to answer with" in info.value]
    header, _ = sent(at)
    assert [model["title"] for model in header["models"]] == ["ResNet"]
