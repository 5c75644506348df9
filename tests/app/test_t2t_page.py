from __future__ import annotations

import csv
import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from app_helpers import image_bytes, messages, said

import vizlib
from vizlib.analysis.features.token_maps import norm_map, pca_rgb
from vizlib.analysis.receptive_field.t2t_soft_splits import token_rounds
from vizlib.engine.jobs import Progress
from vizlib.ui.core import model_loading
from vizlib.ui.core.message_codec import levels, pack, unpack
from vizlib.ui.core.pictures import handed_in, sample
from vizlib.ui.pages.t2t import channel_grid_data, soft_split_data
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


@pytest.fixture
def t2t(visit):
    return partial(visit, "pages/t2t.py")


def sent(at: AppTest, name: str) -> tuple[dict, dict, dict]:
    """The view, the header and the arrays that a component got."""
    (message,) = messages(at, name)
    header, arrays = unpack(message)
    return header["view"], *unpack(arrays["payload"])


def test_opens_on_the_rounds_of_the_bundled_model(t2t):
    at = t2t()
    assert at.title[0].value == "T2T-ViT"
    view, header, arrays = sent(at, "soft_split")
    assert view == {"draw": "colours", "follow": "windows", "basis": "own", "groups": 5, "token": ""}
    assert [one["grid"] for one in header["sets"]] == [[32, 32], [16, 16], [8, 8], [8, 8]]
    assert arrays["photo"].shape == (64, 64, 3)
    assert header["kind"] == "performer"
    untrained = "t2t_tiny50" not in all_cards()
    assert ("untrained: random weights" in said(at)) == untrained
    assert "**64 tokens** for **31.6" in said(at)
    assert dict(at.query_params) == {}
    assert not at.error


@pytest.mark.parametrize("name", ["t2t_tiny50", "t2t_t_tiny50"])
def test_the_browser_gets_what_the_analysis_gives(name):
    model, picture = vizlib.load(name, checkpoint="random"), sample("cat")
    made = token_rounds(model, picture.pixels)
    header, arrays = unpack(
        soft_split_data.compute_soft_splits(model, vizlib.load("vit_tiny50"), picture=picture, fit=None, progress=Progress()).payload
    )
    for turn, one in enumerate(made.rounds):
        assert np.allclose(arrays[f"norms{turn}"], norm_map(one.tokens, one.grid))
        assert np.abs(arrays[f"own{turn}"] / 255 - pca_rgb(one.tokens)[0].numpy()).max() <= 0.5 / 255 + 1e-9
        assert np.array_equal(np.outer(arrays[f"down{turn}"][3], arrays[f"across{turn}"][5]), one.reach.counts(3, 5))
        if turn:
            shares = arrays[f"lineage{turn}"] * (arrays[f"peaks{turn}"][:, None] / 65535)
            assert np.abs(shares - made.lineages(turn).numpy()).max() <= arrays[f"peaks{turn}"].max() / 131000
    # The browser makes a row of the first round from q and k.
    scores = arrays["q"][70] @ arrays["k"].T * header["scale"]
    scores = np.exp(scores - scores.max()) if header["kind"] == "softmax" else scores
    row = 0.5 * scores / scores.sum()
    row[70] += 0.5
    assert np.allclose(row, made.lineages(0)[70], atol=1e-6)


def test_the_hard_patches_are_those_of_the_vit():
    made = soft_split_data.compute_soft_splits(
        vizlib.load("t2t_tiny50", checkpoint="random"), vizlib.load("vit_tiny50"), picture=sample("cat"), fit=None, progress=Progress()
    )
    _, arrays = unpack(made.payload)
    vit = vizlib.load("vit_tiny50")
    patches = vit.module.patch_embed(vit.prepare(sample("cat").pixels))[0].detach()
    assert np.allclose(arrays["tokens3"], patches, atol=1e-5)
    assert made.pictures[3].title == "ViT's patches"


@pytest.mark.parametrize(
    "content",
    [image_bytes((1, 1)), image_bytes((900, 20)), image_bytes((50, 40), "L"), image_bytes((50, 40), "RGBA")],
    ids=["one pixel", "wide", "grey", "transparent"],
)
def test_odd_pictures(content):
    picture = handed_in("odd.png", content)
    made = soft_split_data.compute_soft_splits(
        vizlib.load("t2t_tiny50", checkpoint="random"), vizlib.load("vit_tiny50"), picture=picture, fit=None, progress=Progress()
    )
    assert all(np.isfinite(one.norms).all() for one in made.pictures)
    model = vizlib.load("t2t_tiny50", checkpoint="random")
    _, arrays = unpack(
        channel_grid_data.compute_channel_grids(
            vizlib.load("resnet_tiny50"), model, titles=["ResNet", "T2T-ViT"], picture=picture, fit=None, progress=Progress()
        ).payload
    )
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_figure_2_shows_the_true_passes(t2t):
    at = t2t()
    _, header, arrays = sent(at, "channel_grid")
    assert [one["title"].split(" ")[0] for one in header["grids"]] == ["ResNet", "ViT", "T2T-ViT"]
    block = header["grids"][1]["layers"][0]
    key = block["ways"]["true"]["key"]
    true = vizlib.trace(vizlib.load("vit_tiny50"), sample("cat").pixels).features["blocks.0"].numpy()
    low, high = (arrays[f"{key}.{end}"][:, None, None] for end in ("low", "high"))
    assert np.abs(arrays[f"{key}.maps"] / 255 * (high - low) + low - true).max() <= (high - low).max() / 500
    assert 0 <= block["agreement"] < 1
    assert "bare" not in header["grids"][2]["layers"][0]["ways"]


def test_the_address_restores_the_view(t2t):
    address = {"sample": "coffee", "model": "t2t_t_tiny50", "draw": "groups", "follow": "attention", "groups": "3", "token": "2.4.7",
               "order": "edge", "way": "bare"}  # fmt: skip
    at = t2t(**address)
    view, header, _ = sent(at, "soft_split")
    assert (view["draw"], view["groups"], view["token"], header["kind"]) == ("groups", 3, "2.4.7", "softmax")
    assert sent(at, "channel_grid")[0]["order"] == "edge"
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address


def test_an_address_that_means_nothing_opens_the_page(t2t):
    address = {"model": "nobody", "draw": "rainbow", "groups": "77", "token": "a.b", "layers": "x"}
    at = t2t(**address)
    assert sent(at, "soft_split")[0]["groups"] == 5
    assert dict(at.query_params) == {}


def test_a_published_model_is_offered_and_runs_with_random_weights(t2t):
    at = t2t(model="t2t_vit_7")
    assert at.button(key="fetch.t2t_vit_7").label.startswith("Fetch 17")
    at = t2t(model="t2t_vit_7", weights="random")
    _, header, arrays = sent(at, "soft_split")
    assert [one["grid"] for one in header["sets"]] == [[56, 56], [28, 28], [14, 14], [14, 14]]
    assert header["sets"][3]["title"] == "Hard patches, bare pixels"
    assert arrays["lineage2"].shape == (196, 3136)


def test_a_fault_inside_is_said(t2t, monkeypatch):
    monkeypatch.setattr(model_loading.vizlib, "load", lambda *_, **__: 1 / 0)
    at = t2t(model="t2t_vit_10", weights="random")
    assert "went wrong inside" in at.error[0].value
    assert "division" not in said(at)


def test_files(t2t):
    made = soft_split_data.compute_soft_splits(
        vizlib.load("t2t_tiny50", checkpoint="random"), vizlib.load("vit_tiny50"), picture=sample("cat"), fit=None, progress=Progress()
    )
    rows = list(csv.DictReader(io.StringIO(soft_split_data.tokens_csv(made, 4))))
    assert len(rows) == 1024 + 256 + 64 + 64
    assert {row["group of 4"] for row in rows} <= set("0123")
    assert (rows[1024]["tokens"], rows[1024]["top"], rows[1024]["bottom"]) == ("Round 2", "0", "6")
    assert vizlib.read_image(soft_split_data.to_png(made, "length", shared=False, groups=4)).shape == (240, 5 * 240 + 4 * 8, 3)


def test_the_snippet_runs(t2t, capsys):
    at = t2t()
    exec(compile(at.code[0].value, "snippet", "exec"), {})  # noqa: S102
    assert "round 3: 8 x 8 tokens, 361 pixels each, counted up to 36 times" in capsys.readouterr().out


def test_packed_arrays_come_back():
    arrays = {"a": np.arange(7, dtype=np.uint8), "b": np.ones((2, 3)), "c": np.arange(4, dtype=np.uint16).reshape(2, 2)}
    header, back = unpack(pack({"title": "Stéfan's cat"}, arrays))
    assert header == {"title": "Stéfan's cat"}
    assert all(np.array_equal(back[name], array) for name, array in arrays.items())
    values = np.random.default_rng(0).random((5, 9)) ** 8
    values[2] = 0
    made, peaks = levels(values)
    assert np.abs(made * (peaks[:, None] / 65535) - values).max() <= peaks.max() / 131000
