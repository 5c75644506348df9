"""The page of comparisons: opens on two models and the samples, keeps its view, and refuses what cannot be measured with the reason."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from app_helpers import ROOT, components, image_bytes, messages, said, settled

import vizlib
from vizlib.analysis.logit_difference import explain_difference
from vizlib.compare import compare
from vizlib.compare.charts import cka_chart
from vizlib.engine.jobs import Progress
from vizlib.figures.comparison_charts import alignment_map, clickable
from vizlib.ui.core import job_slots, model_service
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.pages.compare import comparison_jobs, layer_pair_data
from vizlib.ui.pages.compare.comparison_work import compute_attributions

NAMES = ["vit_tiny50", "resnet_tiny50"]
TITLES = ["ViT", "ResNet"]


@pytest.fixture
def page(visit):
    return partial(visit, "pages/compare.py")


@pytest.fixture(scope="module")
def found():
    pictures = {SAMPLES[name].title: sample(name).pixels for name in list(SAMPLES)[:4]}
    return compare(NAMES, pictures, shown=1, fields=1, explain=False)


def upload(at, *files):
    at.file_uploader[0].set_value([(name, content, "image/png") for name, content in files])
    at.run()
    return settled(at)


def headings(at):
    return [one.value for one in at.header]


def test_opens_on_vit_and_resnet_over_the_samples(page):
    at = page()
    assert at.title[0].value == "Compare"
    assert not at.error
    models = [vizlib.load(name) for name in NAMES]
    firsts = [[vizlib.predict(model, sample(name).pixels, top=1)[0].label for name in SAMPLES] for model in models]
    alike = sum(one == other for one, other in zip(*firsts, strict=True)) / len(SAMPLES)
    assert f"give the same first answer to {round(alike * len(SAMPLES))} of {len(SAMPLES)} pictures" in said(at).replace("\\", "")
    assert len(headings(at)) == 6
    (aligned, arrays), (clicked, _) = (unpack(one) for one in messages(at, "layer_pair"))
    assert clicked["models"] == aligned["models"] == TITLES
    assert clicked["single"]
    assert [end["layer"] for end in aligned["pairs"][0]] == ["layer 1", "stage 1, layer 1"]
    assert arrays["0.like.00"].shape == (64, 64)
    assert dict(at.query_params) == {}
    text = said(at)
    assert "needs at least 8 pictures" not in text
    assert "completeness gap" in text


def test_readers_find_display_names_and_no_identifiers(page):
    at = page()
    read = [said(at), *(str(chart.proto.spec) for chart in at.get("plotly_chart")), *map(str, messages(at, "layer_pair"))]
    read += [option for picker in (at.multiselect[0], *at.segmented_control) for option in picker.options]
    assert len(at.get("plotly_chart")) > 8
    assert not [text for text in read if "tiny50" in text]
    assert {"ViT", "ResNet", "CCT"} <= set(at.multiselect[0].options)
    assert "ViT" in said(at)
    assert "ResNet: receptive field" in "".join(str(chart.proto.spec) for chart in at.get("plotly_chart"))
    assert "ResNet, measured" in said(at)
    fields = [html for html in (str(part.proto.body) for part in at.get("html")) if "class='fields'" in html]
    assert len(fields) == 3
    assert all(html.count("<img ") == html.count(">reach ") == html.count("<br>reach ") == 4 for html in fields)
    charts = [json.loads(chart.proto.spec)["layout"] for chart in at.get("plotly_chart")]
    heat_maps = [(one["margin"]["l"], one["margin"]["b"]) for one in charts if one["yaxis"]["title"].get("text") in TITLES]
    assert len(heat_maps) == 3
    assert len(set(heat_maps)) == 1  # their cells are of one size, though "stage 4, layer 2" is longer than "layer 6"


def test_the_pairs_hold_what_the_library_says(found):
    one = found.shown[0]
    ends = ((0, 5), (1, 1))
    header, arrays = unpack(layer_pair_data.pack_layer_pair(found, one, [ends], {"show": "colours"}))
    # Likeness by numpy: the correlation of the rows of both profiles.
    rows = [one.layers[model][layer].profile.astype(np.float64) for model, layer in ends]
    whole = np.corrcoef(np.concatenate(rows))
    for name, part in {"00": whole[:64, :64], "01": whole[:64, 64:], "11": whole[64:, 64:]}.items():
        assert np.abs(arrays[f"0.like.{name}"] / 127.5 - 1 - part).max() < 0.5 / 127.5 + 1e-9
    assert [end["grid"] for end in header["pairs"][0]] == [[8, 8], [16, 16]]
    assert np.array_equal(arrays["0.1.lengths"], one.layers[1][1].norms)
    assert arrays["0.0.colours"].shape == (8, 8, 3)
    assert arrays["0.0.channels"].shape[0] == layer_pair_data.TILES


def test_the_address_restores_the_view(page):
    address = {
        "models": "resnet_tiny50,vit_tiny50", "images": "cat,coffee,rocket,camera", "cka": "pooled/rbf", "cell": "0.0-2.3", "way": "stride",
        "look": "Rocket", "of": "second", "show": "length", "layer": "2", "place": "1,0.2500,0.7500", "fit": "squash",
    }  # fmt: skip
    at = page(**address)
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address
    aligned, clicked = (unpack(one)[0] for one in messages(at, "layer_pair"))
    assert [end["layer"] for end in clicked["pairs"][0]] == ["stage 3, layer 1", "stage 3, layer 2"]
    assert clicked["models"] == ["ResNet"] * 2
    assert aligned["title"] == "Rocket"
    assert {name: aligned["view"][name] for name in ("show", "layer", "place")} == {
        "show": "length",
        "layer": 2,
        "place": "1,0.2500,0.7500",
    }


def test_what_chance_gives_is_said_of_the_means_of_few_pictures(page):
    at = page(models="resnet_tiny50,vit_tiny50", images="cat,coffee,rocket,camera", cka="pooled/linear", way="cka")
    assert "layers that have nothing in common have a CKA of 0 \u00b1 0.71 by chance" in said(at)
    assert "By the CKA of places, linear, whichever is shown below." in said(at)
    at.button_group(key="compare.cka").set_value("tokens/linear").run()
    assert "by chance" not in said(at)


def test_a_link_outlives_the_wait(page, monkeypatch):
    model_service.service().dispatcher.results.clear()
    address = {"images": "rocket,camera", "show": "length", "layer": "2", "place": "1,0.2500,0.7500", "way": "stride", "look": "Camera"}
    monkeypatch.setattr(job_slots, "PATIENCE", 0.0)  # the first run ends before anything is measured
    at = page(**address)
    view = unpack(messages(at, "layer_pair")[0])[0]["view"]
    assert {name: view[name] for name in ("show", "layer", "place")} == {"show": "length", "layer": 2, "place": "1,0.2500,0.7500"}
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address


def test_an_address_that_means_nothing_opens_the_page(page):
    at = page(
        models="nobody", images="nothing", cka="a/b", cell="7.8-99.99", way="luck", look="Nowhere", pair="3-4", place="2,9,9", layer="-1"
    )
    assert len(headings(at)) == 6
    assert unpack(messages(at, "layer_pair")[0])[0]["models"] == TITLES


def test_models_that_agree_leave_no_class_to_choose(page):
    at = page(images="cat,coffee", look="Coffee")
    assert "Both answer **espresso**" in said(at)
    assert "compare.of" not in [one.key for one in at.button_group]
    at = page(images="cat,coffee", look="Cat", of="second")
    first, second = (vizlib.predict(vizlib.load(name), sample("cat").pixels)[0].label for name in NAMES)
    assert first != second
    assert at.button_group(key="compare.of").options == [f"{first}, the answer of ViT", f"{second}, the answer of ResNet"]
    assert f"log p({second}) is" in said(at)


def test_stopped_work_can_be_asked_for_again(page, monkeypatch):
    monkeypatch.setattr("vizlib.compare.api.compare", _stopped)
    at = page(images="rocket")
    assert "Stopped." in said(at)
    monkeypatch.undo()
    at.button(key="again.compare.measures").click().run()
    assert len(headings(settled(at))) == 6


def _stopped(*_, progress, **__):
    progress._cancel.set()
    progress(0, 1, "measuring")


def test_one_picture_says_what_it_cannot_do(page):
    at = page(images="cat", way="cka")
    text = said(at)
    assert "CKA needs at least 4 pictures, and there is 1." in text
    assert "By best CKA needs at least 4 pictures." in text
    assert at.button_group(key="compare.cka").disabled
    assert at.session_state["compare.way"] == "depth"
    (aligned,) = messages(at, "layer_pair")
    assert unpack(aligned)[0]["title"] == "Cat"
    assert "log p" in text


@pytest.mark.parametrize(("address", "words"), [({"models": "vit_tiny50"}, "two models or more"), ({"images": ""}, "at least one picture")])
def test_too_little_is_said(page, address, words):
    at = page(**address)
    assert words in said(at)
    assert not headings(at)


def test_four_models_choose_two(page):
    names = ["vit_tiny50", "resnet_tiny50", "cct_tiny50", "pvt_tiny50"]
    at = page(models=",".join(names), images="cat,coffee,rocket,camera", pair="1-2")
    assert unpack(messages(at, "layer_pair")[0])[0]["models"] == ["ResNet", "CCT"]
    figure = next(json.loads(one.proto.spec) for one in at.get("plotly_chart") if one.proto.id.endswith("compare.chart.norm"))
    assert [line["name"] for line in figure["data"]] == ["ViT", "ResNet", "CCT", "PVT"]


def test_uploads_and_unreadable_files(page):
    at = page()
    at = upload(at, ("a.png", image_bytes()), ("broken.png", b"no picture"), ("a.png", image_bytes((64, 64), "L")))
    text = said(at).replace("\\", "")
    assert "**3 files of yours**" in text
    assert "- **broken.png**: " in text
    assert [one["name"] for one in components(at, "image_gallery")[0]["items"]] == ["a.png", "a.png (2)"]
    assert "CKA needs at least 4 pictures, and there are 2." in text
    at.button(key="compare.remove").click().run()
    settled(at)
    assert f"of {len(SAMPLES)} pictures" in said(at).replace("\\", "")


def test_nothing_readable(page):
    at = upload(page(), ("broken.png", b"no picture"))
    assert "None of 1 picture could be compared" in said(at)
    assert not headings(at)


def test_other_classes_compare_by_features_only(page, monkeypatch):
    other = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3)
    monkeypatch.setattr(
        "vizlib.ui.core.model_loading.load_card", lambda name, progress: other if name == "vit_tiny50" else vizlib.load(name)
    )
    model_service.service().unload("vit_tiny50")
    model_service.service().dispatcher.results.clear()
    try:
        at = page(images="cat,coffee")
    finally:
        model_service.service().unload("vit_tiny50")
        model_service.service().dispatcher.results.clear()
    text = said(at).replace("\\", "")
    assert "know different classes, so they are compared by features only." in text
    assert "completeness gap" not in text
    assert len(messages(at, "layer_pair")) == 1


def test_a_click_on_a_cell_shows_its_layers(page):
    from types import SimpleNamespace

    import streamlit as st

    at = page()
    from vizlib.ui.pages.compare.sections import View, _take_cell

    state = {"chart": SimpleNamespace(selection=SimpleNamespace(points=[{"x": 4, "y": 2}]))}
    view = View("p", "k", "cell", "w", "l", "o", {}, lambda: None)
    original, st.session_state = st.session_state, state
    try:
        _take_cell(view, "chart", 0, 1)
        state["chart"].selection.points = []
        _take_cell(view, "chart", 0, 1)
    finally:
        st.session_state = original
    assert state["cell"] == "0.1-2.4"
    at.session_state["compare.cell"] = state["cell"]
    at.run()
    assert [end["layer"] for end in unpack(messages(at, "layer_pair")[1])[0]["pairs"][0]] == ["layer 3", "stage 4, layer 1"]
    assert dict(at.query_params)["cell"] == "0.1-2.4"


def test_why_is_the_librarys_difference(found):
    shown, target = found.shown[0], int(found.models[0].answers[0])
    models = [vizlib.load(name) for name in NAMES]
    expected = explain_difference(*models, shown.picture, target)
    why = compute_attributions(*models, shown=shown, target=target, fit=None, which=(True, True), progress=Progress())
    two = comparison_jobs.two_of(found, comparison_jobs.explained(shown, why), 0, 1)
    assert np.array_equal(two.shown[0].difference().map, expected.map)
    assert why.nbytes == 2 * expected.map.nbytes


def test_an_invisible_point_lies_on_every_cell(found):
    figure = clickable(cka_chart(found, 0, 1), (2, 4))
    heat, points = figure.data
    assert {(x, y): text for x, y, text in zip(points.x, points.y, points.text, strict=True)} == {
        (x, y): heat.customdata[y][x] for y in range(6) for x in range(6)
    }
    assert points.marker.opacity == points.selected.marker.opacity == points.unselected.marker.opacity == 0
    assert [(one.x0, one.y0, one.x1, one.y1) for one in figure.layout.shapes] == [(3.5, 1.5, 4.5, 2.5)] * 2


def test_names_have_room_under_a_narrow_heat_map_and_every_row_its_own():
    rows, columns = [f"layer {n}" for n in range(1, 25)], [f"stage {n}" for n in range(1, 31)]
    figure = alignment_map(np.zeros((24, 30)), rows, columns, "deep", "deeper")
    across, up = figure.layout.xaxis, figure.layout.yaxis
    assert list(up.ticktext) == rows
    assert list(across.ticktext) == [columns[place] for place in across.tickvals]
    assert across.ticktext[0] == "stage 1"
    names_at = 150 / len(columns) * np.diff(across.tickvals)  # pixels of the map itself, by the narrowest seen
    assert names_at.min() > 10
    assert across.range[0] <= -0.5 < 29.5 <= across.range[1]


def test_files(found):
    rows = list(csv.DictReader(io.StringIO(comparison_jobs.table_csv(found, "layers"))))
    assert len(rows) == sum(len(model.layers) for model in found.models)
    cka = list(csv.DictReader(io.StringIO(comparison_jobs.table_csv(found, "cka"))))
    line = next(
        one
        for one in cka
        if (one["reading"], one["kernel"], one["layer_a"], one["layer_b"]) == ("tokens", "linear", "blocks.0", "layer1.0")
    )
    assert float(line["cka"]) == pytest.approx(found.between(0, 1).value[0, 0])
    with np.load(io.BytesIO(comparison_jobs.arrays_npz(found))) as arrays:
        assert np.array_equal(arrays["vit_tiny50/norm"], found.models[0].norm)
    html = comparison_jobs.to_html(found, found.shown[0], None).decode()
    assert html.startswith("<!doctype html>")
    assert "resnet_tiny50" in html


def test_the_snippet_runs(page, tmp_path, monkeypatch, capsys):
    at = page(images="cat,coffee,rocket,camera")
    monkeypatch.chdir(tmp_path)
    exec(compile(at.code[0].value, "snippet", "exec"), {})  # noqa: S102
    assert "CKA" in capsys.readouterr().out
    assert (tmp_path / "comparison.html").exists()
    assert at.code[1].value == "vizlib compare vit_tiny50 resnet_tiny50 --images photos --out comparison.html --arrays numbers"


def test_nothing_heavy_is_imported_by_the_sections():
    heavy = "torch timm captum cv2"
    parts = "vizlib.ui.pages.compare.sections, vizlib.ui.sections.picture_set"
    code = f"import sys, {parts}; print([one for one in '{heavy}'.split() if one in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
