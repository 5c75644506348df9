from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pytest
from app_helpers import ROOT, components, image_bytes, maps, messages, said
from streamlit.testing.v1 import AppTest

import vizlib
from vizlib.analysis import logit_lens
from vizlib.analysis.attention.head_ablation import HeadAblation, compare_ablation
from vizlib.ui.core import job_slots, model_service
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.zoo.cards import all_cards

FAMILIES = {"t2t_vit_7": 3, "pvt_tiny": 4, "cvt_13": 3, "cct_7_3x1_32": 1, "pvt_v2_b0": 4, "t2t_vit_t_14": 3}


@pytest.fixture
def attention(visit):
    return partial(visit, "pages/attention.py")


@pytest.fixture
def random_weights(monkeypatch, loads):
    """Every model is here, with random weights where its own would have to be fetched."""
    loads(lambda name, progress: vizlib.load(name, checkpoint=None if name.endswith("tiny50") else "random"))
    monkeypatch.setattr(model_service.ModelService, "ready", lambda self, model: True)


def canvas(at: AppTest) -> tuple[dict, dict]:
    """The header of the canvas and that of the attention in it."""
    (data,) = messages(at, "attention_canvas")
    header, arrays = unpack(data)
    assert arrays["tables"].size == 768 * len(header["colormaps"])
    assert arrays["photo"][:2].tobytes() == b"\xff\xd8"
    return header, unpack(arrays["attention"])[0]


def test_opens_on_a_picture_with_every_head(attention):
    at = attention()
    header, inside = canvas(at)
    assert at.title[0].value == "Attention"
    assert (header["title"], header["input"]) == ("Coffee", [64, 64])
    assert [(site["heads"], site["queries"], site["key_prefix"]) for site in inside["sites"]] == [(3, [8, 8], ["class token"])] * 6
    assert "Click a patch" in said(at)
    assert dict(at.query_params) == {}


@pytest.mark.parametrize("panel", ["token", "heads", "depth", "ablation", "methods", "tokens"])
def test_the_answer_is_there_whatever_is_below(attention, panel):
    first, second = vizlib.predict(vizlib.load("vit_tiny50"), sample("coffee").pixels, top=2)
    text = said(attention(panel=panel))
    assert f"ViT answers **{first.label}** ({100 * first.probability:.0f}\u00a0%), then {second.label}" in text


def test_the_answer_by_layer_for_a_chosen_class(attention):
    at = attention(panel="depth", vit_tiny50__class="3")
    (message,) = messages(at, "depth_maps")
    header, arrays = unpack(message)
    model = vizlib.load("vit_tiny50")
    lens = logit_lens(model, sample("coffee").pixels, 3)
    assert header["label"] == model.label(3)
    assert np.array_equal(arrays["values"], lens.patches.probabilities.numpy())
    words = {0: "leads after every one of the 6 layers", 5: "Only the last of the 6 layers"}
    assert words.get(lens.settled, f"layer {lens.settled + 1} of 6") in said(at)
    assert "of the last stage" in said(attention(panel="depth", model="pvt_tiny50"))


def test_methods_open_each_on_its_own_scale(attention):
    at = attention(panel="methods")
    assert at.session_state["attention.maps"] == "own"
    assert "Each map is on its own scale" in said(at)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_shown_in_its_stages(attention, random_weights, name):
    at = attention(model=name)
    _, inside = canvas(at)
    assert len({site["stage"] for site in inside["sites"]}) == FAMILIES[name]
    assert sum(len(data) for data in messages(at, "attention_canvas")) < 16_500_000
    if name == "cct_7_3x1_32":
        assert inside["sites"][-1]["query_prefix"] == ["the answer"]
    if name in ("pvt_tiny", "cvt_13"):
        assert inside["sites"][0]["queries"] != inside["sites"][0]["keys"]


def test_a_model_without_attention_says_so(attention):
    at = attention(model="resnet_tiny50")
    assert "no attention" in at.info[0].value
    assert messages(at, "attention_canvas") == []


def test_models_are_offered_before_they_are_fetched(attention):
    at = attention(model="deit_tiny_patch16_224.fb_in1k")
    assert "apache-2.0" in said(at)
    assert at.button(key="fetch.deit_tiny_patch16_224.fb_in1k").label.startswith("Fetch")


def test_the_held_query_is_told_exactly(attention):
    at = attention(layer="5", head="2", query="20")
    model = vizlib.load("vit_tiny50")
    site = vizlib.trace(model, sample("coffee").pixels).attention[4]
    row = site.weights([20], [1])[0, 0].double().numpy()
    assert "Row 3, column 4" in said(at)
    assert at.metric[0].value == f"{-(row * np.log2(row)).sum():.2f} bits"
    best = int(row[1:].argmax())
    assert f"row {best // 8 + 1}, column {best % 8 + 1} | {100 * row[1:].max():.1f}\u00a0%" in said(at)
    _, values, _ = maps(at)[0]
    assert values.sum(dtype=np.float64) < 1
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == {"layer": "5", "head": "2", "query": "20"}


def test_the_walk_from_the_last_layer_is_the_rollout_of_that_token(attention):
    at = attention(layer="6", query="12")
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "rollout", token=12)
    assert np.allclose(maps(at)[0][1], explanation.input_map, atol=1e-7)


def test_reverse_tells_what_a_key_receives(attention):
    at = attention(layer="4", query="9", reverse="1")
    weights = vizlib.trace(vizlib.load("vit_tiny50"), sample("coffee").pixels).attention[3].weights().double().mean(0)
    assert at.metric[0].label == "Received"
    assert at.metric[0].value == f"{float(weights[:, 9].sum()):.2f}"


@pytest.mark.parametrize("address", [{"layer": "99", "query": "3"}, {"query": "9999"}, {"query": "x", "layer": "-7"}])
def test_an_address_that_means_nothing_holds_nothing(attention, address):
    at = attention(**address)
    assert "Click a patch" in said(at)
    assert len(messages(at, "attention_canvas")) == 1


def test_all_heads_in_four_tables(attention):
    at = attention(panel="heads")
    (found,) = components(at, "head_matrix")
    assert [one["title"] for one in found["tables"]] == ["Entropy", "Mean distance", "To learned tokens", "To itself"]
    assert [len(row) for row in found["tables"][0]["cells"]] == [3] * 6
    assert found["layers"][0] == "Layer 1"


def test_surgery_shows_the_answer_before_and_after(attention):
    at = attention(panel="ablation", vit_tiny50__off="1.1_1.2_1.3")
    model = vizlib.load("vit_tiny50")
    outcome = compare_ablation(model, model.prepare(sample("coffee").pixels), HeadAblation(heads={(0, head): "zero" for head in range(3)}))
    best = int(outcome.before.argmax())
    text = said(at)
    assert f"| {outcome.before[best]:.2f} | {outcome.after[best]:.2f} |" in text
    drawn = maps(at)
    assert np.allclose(drawn[0][1], outcome.map_before.input_map.numpy(), atol=1e-7)
    assert np.allclose(drawn[1][1], outcome.map_after.input_map.numpy(), atol=1e-7)
    assert drawn[0][0]["peak"] == drawn[1][0]["peak"]
    at.button(key="attention.on").click().run()
    assert "Nothing is switched off" in said(at)


def test_a_held_patch_can_be_hidden(attention):
    at = attention(panel="ablation", query="20", layer="3")
    at.button(key="attention.hide").click().run()
    model = vizlib.load("vit_tiny50")
    outcome = compare_ablation(model, model.prepare(sample("coffee").pixels), HeadAblation(dropped=(20,)))
    assert np.allclose(maps(at)[1][1], outcome.map_after.input_map.numpy(), atol=1e-7)
    assert "row 3, column 4 (all layers)" in said(at)
    at.button(key="attention.cut").click().run()
    outcome = compare_ablation(model, model.prepare(sample("coffee").pixels), HeadAblation(dropped=(20,), cut={2: (20,)}))
    assert np.allclose(maps(at)[1][1], outcome.map_after.input_map.numpy(), atol=1e-7)
    at.button(key="attention.show").click().run()
    assert "Nothing is switched off" in said(at)


@pytest.mark.parametrize("name", FAMILIES)
def test_surgery_works_on_every_family(attention, random_weights, name):
    at = attention(model=name, panel="ablation", **{f"{name}__off": "1.1"})
    assert not at.error
    assert len(maps(at)) == 2
    assert "of the map moved" in said(at)


def test_two_visitors_have_their_own_surgery(attention):
    first, second = attention(panel="ablation", vit_tiny50__off="1.1"), attention(panel="ablation", vit_tiny50__off="6.3")
    plain = attention(panel="ablation")
    assert not np.array_equal(maps(first)[1][1], maps(second)[1][1])
    assert np.array_equal(maps(first)[0][1], maps(second)[0][1])
    assert "Nothing is switched off" in said(plain)


def test_methods_side_by_side(attention):
    at = attention(panel="methods")
    drawn = maps(at)
    fitting = [
        name for name in ("attention", "rollout", "gradient_rollout", "relevance", "legrad") if name in all_cards()["vit_tiny50"].methods
    ]
    assert len(drawn) == len(fitting) == 5
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "relevance")
    assert np.allclose(drawn[3][1], explanation.input_map, atol=1e-6)
    assert "ends in learned tokens" in said(at)
    assert "from the coarsest grid" in said(at)


def test_odd_tokens_are_counted(attention):
    at = attention(panel="tokens", threshold="2")
    assert "odd token" in said(at)
    assert len(maps(at)) == 2
    assert "No odd token" in said(attention(panel="tokens", threshold="50"))


def test_a_finer_layer_is_sent_when_it_is_wanted(attention, random_weights):
    at = attention(model="vit_small_patch16_dinov3.lvd1689m")
    header, _ = canvas(at)
    assert messages(at, "attention_patch") == []
    at.session_state["attention.want"] = (header["view"], 2)
    at.run()
    (tile,) = messages(at, "attention_patch")
    patch, arrays = unpack(tile)
    assert patch == {"view": header["view"], "layer": 2}
    assert len(unpack(arrays["attention"])[0]["sites"]) == 1


def test_an_upload_is_shown(attention):
    at = attention()
    at.file_uploader[0].set_value(("mine.png", image_bytes((70, 90)), "image/png")).run()
    header, _ = canvas(at)
    assert (header["title"], header["image"]) == ("mine.png", [90, 70])


@pytest.mark.parametrize("address", [{}, {"query": "20", "layer": "4", "head": "1"}, {"query": "20", "reverse": "1"}, {"fit": "pad"}])
def test_snippets_run(attention, address, tmp_path, monkeypatch):
    at = attention(**address)
    names: dict = {}
    exec(compile(at.code[0].value, "snippet", "exec"), names)  # noqa: S102
    assert names["outcome"].after.shape == (50,)
    assert names["site"].weights().shape == (3, 65, 65)


def test_a_link_lasts_until_the_model_is_there(attention, monkeypatch):
    address = {"panel": "ablation", "vit_tiny50.off": "1.1_2.3", "vit_tiny50.hidden": "0.21", "way": "mean", "threshold": "9", "layer": "4",
               "query": "30", "rollout.head_fusion": "max", "sample": "rocket"}  # fmt: skip
    monkeypatch.setattr(job_slots, "PATIENCE", 0.0)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
    for name, value in address.items():
        at.query_params[name] = value
    at.switch_page("pages/attention.py")
    at.run()
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address
    until = time.monotonic() + 120
    while not at.multiselect and time.monotonic() < until:
        time.sleep(0.1)
        at.run()
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address
    assert at.multiselect[0].value == [(0, 0), (1, 2)]


def test_the_held_patch_is_sought_in_another_picture(visit):
    from vizlib.analysis.features.patch_similarity import patch_similarity

    at = visit("pages/attention.py", panel="other", layer="4", query="30", second="cat", sample="coffee")
    model = vizlib.load("vit_tiny50")
    first, second = (vizlib.trace(model, sample(name).pixels).features["blocks.3"] for name in ("coffee", "cat"))
    cosines = patch_similarity(first, second)[29]  # without the class token
    best = int(cosines.argmax())
    assert f"**row {best // 8 + 1}, column {best % 8 + 1}**, cosine **{cosines[best]:.2f}**" in said(at)


def test_queries_and_keys_lie_in_one_plane(visit):
    at = visit("pages/attention.py", panel="plane", layer="4", query="30", head="2", sample="coffee")
    assert "of head 2 in layer 4" in said(at).replace("*", "")
    assert "have a correlation of **" in said(at)


def test_samples_lie_in_the_plane_too(visit):
    from vizlib.analysis.attention.query_key_embedding import query_key_planes

    at = visit("pages/attention.py", panel="plane", layer="4", query="30", head="2", sample="coffee", **{"with": "cat,rocket"})
    (figure,) = (json.loads(one.proto.spec) for one in at.get("plotly_chart"))
    assert [line["name"] for line in figure["data"][:3]] == ["queries · Coffee", "keys · Coffee", "queries · Cat"]
    assert len(figure["data"]) == 6
    model = vizlib.load("vit_tiny50")
    sites = [vizlib.trace(model, sample(name).pixels).attention[3] for name in ("coffee", "cat", "rocket")]
    correlation = query_key_planes([(site.q[0, 1], site.k[0, 1]) for site in sites])[0].correlation
    assert f"correlation of **{correlation:.2f}**" in said(at)
    assert "a query and a key of one picture" in said(at)
