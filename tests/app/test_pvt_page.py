from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from app_helpers import image_bytes, messages, said, settled
from PIL import Image

import vizlib
from vizlib.analysis.cost.spatial_reduction import Layer
from vizlib.analysis.cost.spatial_reduction_timing import Measurement
from vizlib.engine.jobs import Progress
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import handed_in, sample
from vizlib.ui.pages.pvt import attention_cost, segmentation, segmentation_data
from vizlib.ui.sections import feature_pyramid, feature_pyramid_data, reduced_keys, reduced_keys_data


def sent(at, name):
    return [unpack(message) for message in messages(at, name)]


@pytest.fixture
def page(visit):
    def start(**address):
        at = visit("pages/pvt.py", **address)
        assert not at.error
        return at

    return start


def test_opens_on_the_pyramid_beside_a_vit(page):
    at = page()
    assert at.title[0].value == "PVT"
    ((header, arrays),) = sent(at, "feature_pyramid")
    pvt, vit = header["groups"]
    assert [level["grid"] for level in pvt["levels"]] == [[32, 32], [16, 16], [8, 8], [4, 4]]
    assert [level["grid"] for level in vit["levels"]] == [[8, 8]]
    for index, level in enumerate(pvt["levels"]):
        assert arrays[f"0.{index}.values"].shape == (level["channels"], level["grid"][0] * level["grid"][1])
        assert sum(level["octaves"]) == pytest.approx(1)
        # The walk's share on every grid is what does not end in the class token.
        assert arrays[f"0.{index}.rollout"].sum() == pytest.approx(arrays["0.0.rollout"].sum(), rel=1e-5)
    assert arrays["0.1.rows"].tolist() == [[2 * i, 2 * i + 2] for i in range(16)]
    assert dict(at.query_params) == {}
    words = "\n".join(one.value for one in at.caption)
    assert "pvt_tiny50" in words


def test_an_untrained_model_says_so(page):
    at = page(weights="random")
    assert any("untrained: random weights" in one.value for one in at.caption)


def test_keys_costs_and_groups(page):
    at = page()
    ((header, arrays),) = sent(at, "reduced_keys")
    assert [site["keys"] for site in header["sites"]] == [[4, 4]] * 4
    assert [layer["reduction"] for layer in header["layers"]] == [8, 4, 2, 1]
    rows = arrays["0.levels"] * (arrays["0.peaks"][..., None] / 65535)
    assert rows.sum(-1) == pytest.approx(np.ones((1, 1024)), abs=1e-3)
    assert arrays["0.shares"].sum((1, 2)) == pytest.approx(np.ones(16))
    ((header, _),) = sent(at, "attention_cost")
    assert header["layers"][0] == {"width": 32, "heads": 1, "reduction": 8, "stride": 2}
    ((header, arrays),) = sent(at, "segmentation")
    assert [field["title"] for field in header["fields"]] == ["PVT", "ViT", "ResNet"]
    for index in range(3):
        labels = arrays[f"{index}.labels"]
        assert labels.shape == (7, 32, 32)
        assert [len(np.unique(one)) for one in labels] == list(range(2, 9))


def test_a_link_restores_the_view(page):
    at = page(view="norm", groups="6", sample="rocket", weights="random")
    ((header, _),) = sent(at, "feature_pyramid")
    assert (header["view"], header["title"]) == ("norm", "Rocket")
    assert sent(at, "segmentation")[0][0]["chosen"] == 6
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == {
        "view": "norm", "groups": "6", "sample": "rocket", "weights": "random",
    }  # fmt: skip


def test_an_address_that_means_nothing(page):
    at = page(view="upside", groups="99", model="vgg")
    assert sent(at, "feature_pyramid")[0][0]["view"] == "colours"
    assert sent(at, "segmentation")[0][0]["chosen"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pvt_tiny", "pvt_v2_b0", "pvt_v2_b2_li"])
def test_official_architectures_run_with_random_weights(page, name):
    at = page(model=name, weights="random")
    ((header, _),) = sent(at, "feature_pyramid")
    assert [level["grid"] for level in header["groups"][0]["levels"]] == [[56, 56], [28, 28], [14, 14], [7, 7]]
    ((header, arrays),) = sent(at, "reduced_keys")
    assert [site["keys"] for site in header["sites"]] == [[7, 7]] * 4
    linear = name.endswith("_li")
    assert ("answers from a grid of 7 × 7 keys whatever the size" in said(at)) == linear
    assert ("every R × R block of tokens is flattened" in said(at)) == (not linear)
    assert ("Here R is 8, 4, 2 and 1, stage by stage" in said(at)) == (not linear)
    assert header["sites"][0]["reduced"] == ("pool" if linear else "SR")
    shares = arrays["0.shares"].reshape(49, -1)
    assert shares.sum(1) == pytest.approx(np.ones(49))
    assert (shares.max(1) > 1.01 / 64).all()  # brighter where more passes: of 8 × 8 tokens none of these keys takes all alike


def test_weights_that_are_not_here_are_offered(page):
    at = page(model="pvt_tiny")
    assert any("Fetch" in button.label for button in at.button)
    assert sent(at, "feature_pyramid") == []


@pytest.mark.parametrize(
    ("size", "mode"), [((1, 1), "RGB"), ((900, 12), "RGB"), ((60, 200), "L"), ((80, 80), "RGBA")], ids=["pixel", "wide", "grey", "clear"]
)
def test_odd_pictures(page, size, mode):
    at = page()
    at.file_uploader[0].set_value(("odd.png", image_bytes(size, mode), "image/png")).run()
    settled(at)
    assert not at.error
    assert sent(at, "feature_pyramid")[0][0]["title"] == "odd.png"


def fields_header(field):
    message = segmentation_data.pack_segmentation([field], "x", 2)
    return message[8 : 8 + int.from_bytes(message[4:8], "little")]


def test_a_picture_of_one_colour_has_maps_too():
    blank = handed_in("grey.png", blank_png())
    for model in (vizlib.load("pvt_tiny50", checkpoint="random"), vizlib.load("vit_tiny50")):
        assert all(
            np.isfinite(array).all()
            for array in feature_pyramid_data.compute_feature_pyramid(model, blank, None, Progress()).arrays.values()
        )
        field = segmentation_data.compute_segmentation(model, blank, None, 32, Progress())
        assert field.labels.shape == (7, 32, 32)
        assert all(np.isnan(ratio) for ratio in field.ratios)
        json.loads(fields_header(field))


def blank_png():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (127, 127, 127)).save(buffer, "PNG")
    return buffer.getvalue()


def two_rows(layer, progress):
    return [
        Measurement("full", fused=False, side=224, seconds=1.5, peak_bytes=10**9),
        Measurement("full", fused=False, side=320, seconds=None, peak_bytes=None, why="no"),
    ]


def test_measured_rows_reach_the_chart(page, monkeypatch):
    monkeypatch.setattr(attention_cost, "measure_attention", two_rows)
    at = page()
    assert sent(at, "attention_cost")[0][0]["measured"] == []
    at.button(key="pvt.measure.start").click().run()
    for _ in range(20):
        if sent(at, "attention_cost")[0][0]["measured"]:
            break
        key, job = at.session_state["job_slots.slots"]["pvt.measure"]
        assert key == ((), Layer(32, 1, 8, 2))
        job.wait(5)
        at.run()
    assert [one["seconds"] for one in sent(at, "attention_cost")[0][0]["measured"]] == [1.5, None]


def test_files():
    model, picture = vizlib.load("pvt_tiny50", checkpoint="random"), sample("cat")
    made, grids = (
        feature_pyramid_data.compute_feature_pyramid(model, picture, None, Progress()),
        reduced_keys_data.compute_reduced_keys(model, picture, None, Progress()),
    )
    found = [segmentation_data.compute_segmentation(one, picture, None, 32, Progress()) for one in (model, vizlib.load("vit_tiny50"))]
    cells = list(csv.DictReader(io.StringIO(feature_pyramid._csv([made]))))
    assert len(cells) == 32 * 32 + 16 * 16 + 8 * 8 + 4 * 4
    assert float(cells[0]["norm"]) == pytest.approx(float(made.arrays["0.norm"][0, 0]))
    keys = list(csv.DictReader(io.StringIO(reduced_keys._csv(grids))))
    assert sum(float(row["mean_weight"]) for row in keys if row["stage"] == "1") == pytest.approx(1, abs=1e-3)
    assert {row["cells_gathered"] for row in keys if row["stage"] == "1"} == {"64"}
    groups = list(csv.DictReader(io.StringIO(segmentation._csv(found, 3))))
    assert len(groups) == 2 * 32 * 32
    assert {row["group"] for row in groups} == {"0", "1", "2"}
    for view in ("colours", "norm", "channels", "similarity", "rollout"):
        assert vizlib.read_image(feature_pyramid._png([made], view)).shape == (320, 5 * 320 + 4 * 12, 3)
    assert vizlib.read_image(segmentation._png(found, 5)).shape[0] == 480


def test_the_snippet_runs(page, capsys):
    code = page(weights="random").code[0].value
    assert 'checkpoint="random"' in code
    exec(compile(code.replace("(224, 320)", "(64,)"), "snippet", "exec"), {})  # noqa: S102
    assert "Measurement(kind='full'" in capsys.readouterr().out


def test_stages_are_what_the_trace_holds():
    model = vizlib.load("pvt_tiny50", checkpoint="random")
    picture = sample("coffee")
    made = feature_pyramid_data.compute_feature_pyramid(model, picture, None, Progress())
    trace = vizlib.trace(model, picture.pixels)
    for index, level in enumerate(made.levels):
        low, high, values = (made.arrays[f"{index}.{name}"] for name in ("low", "high", "values"))
        back = low[:, None] + values * ((high - low) / 65535)[:, None]
        features = trace.features[level["block"]].flatten(1).numpy()
        assert np.abs(back - features).max() <= (high - low).max() / 65535
        assert made.arrays[f"{index}.norm"].ravel() == pytest.approx(np.linalg.norm(features, axis=0), rel=1e-5)
