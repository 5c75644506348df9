from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
from app_helpers import image_bytes, messages, settled

import vizlib
from vizlib.analysis.perturbation.patch_shuffle import shuffled
from vizlib.engine.jobs import Progress
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.ui.pages.cvt import projection_data, sections, shuffle_shift_data


def sent(at, name):
    return [unpack(message) for message in messages(at, name)]


@pytest.fixture
def page(visit):
    def start(**address):
        at = visit("pages/cvt.py", **address)
        assert not at.error
        return at

    return start


def test_opens_on_three_overlapping_stages(page):
    at = page(weights="random")
    assert at.title[0].value == "CvT"
    ((header, arrays),) = sent(at, "feature_pyramid")
    assert [level["grid"] for level in header["groups"][0]["levels"]] == [[16, 16], [8, 8], [4, 4]]
    assert arrays["0.0.rows"][:3].tolist() == [[0, 5], [2, 9], [6, 13]]
    said = "\n".join(one.value for one in at.markdown)
    assert "windows of 7 × 7 every 4 pixels, so a pixel lies in 2.90 of them" in said
    for index, (window, stride, padding, side) in enumerate(((7, 4, 2, 64), (3, 2, 1, 16), (3, 2, 1, 8))):
        counts = np.zeros(side)
        for start in range(-padding, side + padding - window + 1, stride):
            counts[max(0, start) : start + window] += 1
        assert f"{counts.mean() ** 2:.2f} of them" in said, index
    assert "class token joins only in the last stage" in said
    assert any("untrained: random weights" in one.value for one in at.caption)


def test_projections_keys_and_moves(page):
    at = page(weights="random")
    ((header, arrays),) = sent(at, "conv_projection")
    assert [(block["stage"], block["block"]) for block in header["blocks"]] == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (3, 4)]
    assert arrays["0.q.kernel"].shape == (48, 9)
    assert arrays["0.k"].shape == (48, 8, 8)
    assert [site["keys"] for site in sent(at, "reduced_keys")[0][0]["sites"]] == [[8, 8], [4, 4], [2, 2]]
    ((header, arrays),) = sent(at, "shuffle_shift")
    titles = [model["title"] for model in header["models"]]
    assert titles == ["CvT", "ViT with its table of positions", "ViT without the table"]
    blind = header["models"][2]["shuffled"]
    assert [one["distance"] for one in blind] == pytest.approx([0, 0, 0], abs=1e-5)
    assert [one["tokens"] for one in blind] == pytest.approx([1, 1, 1], abs=1e-5)
    assert header["models"][0]["shuffled"][2]["distance"] > 1e-3
    assert sorted(arrays["order.4"].tolist()) == list(range(16))
    assert any("| stage 1, layer 1 | 64 | 256 | 75" in one.value for one in at.markdown)


def test_a_link_restores_the_view(page):
    at = page(view="rollout", sample="coffee", weights="random")
    ((header, _),) = sent(at, "feature_pyramid")
    assert (header["view"], header["title"]) == ("rollout", "Coffee")
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == {
        "view": "rollout", "sample": "coffee", "weights": "random",
    }  # fmt: skip


@pytest.mark.slow
def test_an_official_architecture_runs_with_random_weights(page):
    at = page(model="cvt_13", weights="random")
    ((header, _),) = sent(at, "feature_pyramid")
    assert [level["grid"] for level in header["groups"][0]["levels"]] == [[56, 56], [28, 28], [14, 14]]
    assert len(sent(at, "conv_projection")[0][0]["blocks"]) == 13


@pytest.mark.parametrize(
    ("size", "mode"), [((1, 1), "RGB"), ((900, 12), "RGB"), ((60, 200), "L"), ((80, 80), "RGBA")], ids=["pixel", "wide", "grey", "clear"]
)
def test_odd_pictures(page, size, mode):
    at = page(weights="random")
    at.file_uploader[0].set_value(("odd.png", image_bytes(size, mode), "image/png")).run()
    assert sent(settled(at), "feature_pyramid")[0][0]["title"] == "odd.png"
    assert len(sent(at, "shuffle_shift")) == 1


def test_the_numbers_are_those_of_the_analysis():
    model, picture = vizlib.load("vit_tiny50"), sample("cat")
    made = shuffle_shift_data.compute_shuffle_shift(model, picture, None, Progress())
    found = shuffled(model, model.prepare(picture.pixels), 16, shuffle_shift_data.SEEDS)
    assert made.rows[0]["shuffled"][1]["distance"] == pytest.approx(np.mean([one.distance for one in found]), abs=1e-6)
    assert made.rows[0]["shifted"][0] == {"distance": pytest.approx(0, abs=1e-6), "same": 1.0, "tokens": pytest.approx(1, abs=1e-6)}
    rows = list(csv.DictReader(io.StringIO(sections._moves_csv([made]))))
    assert len(rows) == 2 * (3 + 17)
    assert rows[1]["move"] == "4 x 4 patches shuffled"


def test_kernels_as_a_file_are_those_of_the_model():
    model = vizlib.load("cvt_tiny50", checkpoint="random")
    made = projection_data.compute_projections(model, sample("cat"), None, Progress())
    rows = list(csv.DictReader(io.StringIO(sections._kernels_csv(made))))
    assert len(rows) == 3 * (48 + 2 * 96 + 4 * 192)
    attention = model.module.stage0.blocks[0].attn.conv_proj_k
    gain = attention.bn.weight / (attention.bn.running_var + attention.bn.eps).sqrt()
    row = next(row for row in rows if (row["part"], row["channel"]) == ("k", "5"))
    assert float(row["k12"]) == pytest.approx(float((attention.conv.weight[5, 0, 1, 2] * gain[5]).detach()), rel=1e-5)
    assert torch.is_tensor(gain)


def test_too_many_maps_leave_the_last_block_of_each_stage(monkeypatch):
    monkeypatch.setattr(projection_data, "MOST_BYTES", 10)
    made = projection_data.compute_projections(vizlib.load("cvt_tiny50", checkpoint="random"), sample("cat"), None, Progress())
    assert [(block["stage"], block["block"]) for block in made.facts["blocks"]] == [(1, 1), (2, 2), (3, 4)]
    assert len(made.squeezed) == 7


def test_the_snippet_runs(page, capsys):
    code = page(weights="random", fit="pad").code[0].value
    exec(compile(code, "snippet", "exec"), {})  # noqa: S102
    assert "Squeeze(keys=64, all_keys=256" in capsys.readouterr().out
