from __future__ import annotations

import base64
import csv
import io
import json
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from app_helpers import image_bytes, messages, said

import vizlib
from vizlib.engine.jobs import Progress
from vizlib.figures.model_marks import short_name
from vizlib.figures.overlay import overlay
from vizlib.model_report.claims import little_data_claim, small_data
from vizlib.model_report.report_file import read_report
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import handed_in, sample
from vizlib.ui.pages.compact import tokenizer_data
from vizlib.ui.widgets.claim_card import card_text
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

NAMES = ["vit_tiny50", "compact_vit_tiny50", "cct_tiny50"]


@pytest.fixture
def compact(visit):
    return partial(visit, "pages/compact.py")


def sent(at: AppTest) -> tuple[dict, list[tuple[dict, dict]]]:
    """The view, and the header and arrays of each column."""
    (message,) = messages(at, "tokenizer_columns")
    header, arrays = unpack(message)
    assert list(arrays) == [f"column.{index}" for index in range(len(arrays))]
    return header["view"], [unpack(part) for part in arrays.values()]


def column(name, picture):
    model = vizlib.load(name, checkpoint=None if name in all_cards() else "random")
    return model, tokenizer_data.compute_column(name, name not in all_cards(), model, picture, None, Progress())


def test_opens_on_three_models_side_by_side(compact):
    at = compact()
    assert at.title[0].value == "Compact"
    view, columns = sent(at)
    assert view == {"cover": "windows", "readout": "weights", "label": "", "token": ""}
    assert [header["title"].partition(":")[0] for header, _ in columns] == ["ViT", "Compact ViT", "CCT"]
    assert [header["untrained"] for header, _ in columns] == [name not in all_cards() for name in NAMES]
    assert [header["pooled"] for header, _ in columns] == [False, False, True]
    for header, arrays in columns:
        assert header["grid"] == [8, 8]
        assert arrays["weights"].sum() + header["own"] == pytest.approx(1, abs=1e-5)
    assert "4,096 ×" in said(at)
    little, *others = [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]
    assert len(others) == 3
    report = read_report()
    assert {line["name"]: line["y"] for line in little["data"]} == {
        short_name(name): [top[0] for _, top, _ in rows] for name, rows in small_data(report).items()
    }
    claim = little_data_claim(report)
    assert card_text(claim) in [text.value for text in at.markdown]
    assert dict(at.query_params) == {}
    assert not at.error


def test_the_measured_drift_is_drawn(compact):
    at = compact()
    figure = json.loads(at.get("plotly_chart")[1].proto.spec)
    x, y = (figure["data"][0][axis] for axis in "xy")
    values = np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]) if isinstance(y, dict) else np.array(y)
    assert len(x["bdata"] if isinstance(x, dict) else x) > 8
    # ViT's patches are exact at no shift and at a whole patch, and nowhere between.
    assert values[[0, -1]].max() < 1e-5
    assert values[1:-1].min() > 0.1
    assert "the tokens of ViT, Compact ViT and CCT move along exactly; between, they drift by at least " in said(at)
    assert f"at least {values[1:-1].min():.2f} (ViT), " in said(at)


@pytest.mark.parametrize("name", NAMES[1:])
def test_parts_and_bias_are_the_logits(name):
    model, made = column(name, sample("cat"))
    _, arrays = unpack(made.payload)
    logits = model(model.prepare(sample("cat").pixels))[0].detach().numpy()
    assert np.allclose(arrays["parts"].sum(1) + arrays["bias"], logits, atol=1e-5)
    assert np.allclose(arrays["logits"], logits, atol=1e-5)


def test_the_class_tokens_attention_is_the_models():
    model, made = column("vit_tiny50", sample("cat"))
    header, arrays = unpack(made.payload)
    row = vizlib.trace(model, sample("cat").pixels).attention[-1].weights(rows=[0])[:, 0].mean(0).numpy()
    assert np.allclose(arrays["weights"], row[1:], atol=1e-6)
    assert header["own"] == pytest.approx(row[0], abs=1e-6)
    assert "parts" not in arrays


def test_routes_in_their_boxes_are_whole():
    _, made = column("cct_tiny50", sample("coffee"))
    _, arrays = unpack(made.payload)
    shares = arrays["routes"].reshape(64, -1) * (arrays["peaks"][:, None] / 65535)
    assert np.allclose(shares.sum(1), 1, atol=2e-3)


@pytest.mark.parametrize(
    "content",
    [image_bytes((1, 1)), image_bytes((900, 20)), image_bytes((50, 40), "L"), image_bytes((50, 40), "RGBA")],
    ids=["one pixel", "wide", "grey", "transparent"],
)
def test_odd_pictures(content):
    picture = handed_in("odd.png", content)
    for name in NAMES:
        model, made = column(name, picture)
        assert np.isfinite(made.weights).all()
        assert np.isfinite(tokenizer_data.compute_drift(model, picture, None, Progress()).tokens).all()


def test_the_address_restores_the_view(compact):
    address = {"sample": "coffee", "cover": "routes", "readout": "shares", "label": "espresso", "token": "0.300,0.700"}
    at = compact(**address)
    view, _ = sent(at)
    assert view == {"cover": "routes", "readout": "shares", "label": "espresso", "token": "0.300,0.700"}
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address


def test_an_address_that_means_nothing_opens_the_page(compact):
    address = {"model": "nobody", "cover": "all", "token": "7,x"}
    at = compact(**address)
    assert sent(at)[0]["token"] == ""
    assert dict(at.query_params) == {}


def test_published_models_with_random_weights(compact):
    at = compact(model="cct_7_3x1_32", weights="random")
    assert [header["grid"] for header, _ in sent(at)[1]] == [[8, 8], [8, 8], [16, 16]]
    at = compact(model="cvt_7_4_32")
    assert len(sent(at)[1]) == 2


def test_files():
    made = [column(name, sample("cat"))[1] for name in NAMES]
    rows = list(csv.DictReader(io.StringIO(tokenizer_data.tokens_csv(made))))
    assert len(rows) == 3 * 64
    assert (rows[64 + 9]["top"], rows[64 + 9]["bottom"]) == ("8", "16")
    assert rows[0]["answer"] == ""
    photos = [unpack(one.payload)[1]["photo"] for one in made]
    drawn = vizlib.read_image(tokenizer_data.to_png(made, photos))
    assert drawn.shape == (320, 3 * 320 + 2 * 8, 3)
    weights, photo = (cv2.resize(part, (320, 320), interpolation=cv2.INTER_NEAREST) for part in (made[0].weights.astype("f4"), photos[0]))
    end = max(float(np.quantile(made[0].weights, 0.99)), 2 / made[0].weights.size)
    assert np.array_equal(drawn[:, :320], overlay(photo, weights, high=end))


def test_the_snippet_runs(compact, capsys):
    at = compact()
    exec(compile(at.code[0].value, "snippet", "exec"), {})  # noqa: S102
    assert "a token's windows" in capsys.readouterr().out
