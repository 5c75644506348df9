"""The whole comparison: each number against what its parts give alone, streaming, files, pages and the command."""

from __future__ import annotations

import base64
import json
import weakref
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from tiny_data import jpeg
from typer.testing import CliRunner

import vizlib
from vizlib.analysis.attention import head_statistics
from vizlib.analysis.features.cka import centred, gram
from vizlib.analysis.features.effective_rank import effective_rank
from vizlib.analysis.features.layers import read
from vizlib.analysis.features.sampled_positions import sampled, scattered
from vizlib.analysis.features.token_similarity import token_similarity
from vizlib.analysis.logit_difference import explain_difference
from vizlib.claims import verdict_above
from vizlib.cli import app
from vizlib.compare import compare, save_arrays, write_html
from vizlib.compare import pictures as pictures_of_comparisons
from vizlib.compare.findings import findings
from vizlib.compare.report_html import html_page
from vizlib.datasets.image_source import even_batches
from vizlib.engine.jobs import Progress
from vizlib.errors import CancelledError, ImageError, MethodError, TargetError, VizlibError
from vizlib.figures.numbers import percent
from vizlib.passes.forward import run
from vizlib.stats import bootstrap_interval

SMALL = {"shown": 0, "fields": 0, "points": 4}


@pytest.fixture(scope="module")
def models():
    return [vizlib.load(name, checkpoint="random") for name in ("vit_tiny50", "resnet_tiny50")]


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(10)]


@pytest.fixture(scope="module")
def comparison(models, pictures):
    return compare(models, pictures, points=4, shown=1, fields=2, steps=4)


@pytest.fixture
def folder(tmp_path, pictures):
    home = tmp_path / "photos"
    (home / "more").mkdir(parents=True)
    for number, picture in enumerate(pictures[:5]):
        Image.fromarray(picture).save(home / f"{'more/' if number > 2 else ''}{number}.png")
    (home / "cut.jpg").write_bytes(jpeg(0, 0)[:200])
    (home / "notes.txt").write_text("not a picture", encoding="utf-8")
    (home / ".hidden").write_text("left alone", encoding="utf-8")
    return home


def test_pictures_have_the_names_they_are_given(models, pictures):
    comparison = compare(models, {"one": pictures[0], "broken": b"no picture", "two": pictures[1]}, **SMALL)
    assert comparison.images == ("one", "two")
    assert [name for name, _ in comparison.skipped] == ["broken"]
    with pytest.raises(ImageError, match="no images"):
        compare(models, {}, **SMALL)


def test_layers_can_be_kept_without_explaining(models, pictures, comparison):
    bare = compare(models, pictures, points=4, shown=1, fields=0, explain=False).shown[0]
    assert bare.attributions == (None, None)
    assert np.array_equal(bare.layers[1][2].profile, comparison.shown[0].layers[1][2].profile)


class TestNumbers:
    @pytest.mark.parametrize("pooled", [False, True])
    def test_cka_is_that_of_all_states_at_the_same_places(self, comparison, models, pictures, pooled):
        places = torch.from_numpy(scattered(4, 0))
        # Ten pictures go in two minibatches: four and, since two would be too few, six.
        sums = 0
        for part in (pictures[:4], pictures[4:]):
            rows = []
            for model in models:
                reading = read(model, torch.cat([model.prepare(picture) for picture in part]))
                for index, states in enumerate(reading.states):
                    sampled_states = sampled(reading.maps(index), places.expand(len(part), -1, -1)).flatten(0, 1)
                    rows.append(states.mean(1) if pooled else sampled_states)
            flat = torch.stack([centred(gram(states_of_layer, "linear")).flatten() for states_of_layer in rows])
            sums = sums + flat @ flat.T / (len(rows[0]) * (len(rows[0]) - 3))
        expected = sums / (sums.diagonal()[:, None] * sums.diagonal()[None]).sqrt()
        assert np.allclose(comparison.cka["pooled" if pooled else "tokens", "linear"].value, expected, atol=1e-6)
        assert comparison.cka["tokens", "linear"].batches == 2
        assert np.array_equal(comparison.between(0, 1).value, comparison.between(1, 0).value.T)
        assert comparison.between(1, 1, "pooled", "rbf").value.diagonal() == pytest.approx(1)

    def test_measures_are_those_of_all_images_at_once(self, comparison, models, pictures):
        for model, measured in zip(models, comparison.models, strict=True):
            reading = read(model, torch.cat([model.prepare(picture) for picture in pictures]))
            for index, layer in enumerate(reading.layers):
                states = reading.states[index].double()
                assert measured.layers[index] == layer
                assert measured.norm[index] == pytest.approx(float(states.norm(dim=2).mean()), rel=1e-5)
                alike = token_similarity(states)
                assert measured.similarity[index] == pytest.approx(float(alike.mean()), abs=1e-6)
                assert measured.similarity_error[index] == pytest.approx(float(alike.std() / 10**0.5), rel=1e-3)
            assert np.array_equal(measured.answers, reading.forward_pass.logits.argmax(1))
            rows = sampled(reading.maps(3), torch.from_numpy(scattered(4, 0)).expand(10, -1, -1)).flatten(0, 1).double()
            assert measured.rank[3] == pytest.approx(effective_rank(torch.linalg.svdvals(rows - rows.mean(0))), rel=1e-3)
            assert measured.rank_rows == 40

    def test_heads_are_means_over_images(self, comparison, models, pictures):
        sites = [run(models[0], models[0].prepare(picture)).lineage().sites[2] for picture in pictures]
        alone = [head_statistics.head_statistics(site, (64, 64)) for site in sites]
        assert np.allclose(comparison.models[0].heads[2].distance, np.mean([spread.distance for spread in alone], 0), atol=1e-3)
        assert np.allclose(comparison.models[0].heads[2].entropy, np.mean([spread.entropy for spread in alone], 0), atol=1e-4)

    def test_each_image_may_have_a_target_of_its_own(self, models, pictures):
        some = [pictures[0], np.zeros((0, 3)), *pictures[1:5]]  # the second cannot be read
        shown = compare(models, some, points=4, shown=3, fields=1, steps=2, target=[7, 8, 9, 10, 11, 12]).shown
        assert [example.target for example in shown] == [7, 9, 10]
        with pytest.raises(TargetError, match="holds 2 for 6 images"):
            compare(models, some, target=[1, 2])

    def test_what_is_shown(self, comparison, models, pictures):
        (shown,) = comparison.shown
        expected = explain_difference(*models, pictures[0], shown.target, steps=4)
        assert np.allclose(shown.difference().map, expected.map)
        assert shown.target == int(models[0](models[0].prepare(pictures[0])).argmax())
        own = shown.correspondence((1, 2), (1, 2))
        assert own.diagonal() == pytest.approx(1, abs=1e-3)
        assert shown.correspondence((0, 0), (1, 0)).shape == (64, 256)
        assert [colours.shape for colours in shown.colours((0, 0), (1, 0))] == [(8, 8, 3), (16, 16, 3)]
        assert set(np.unique(shown.agreement())) <= {0, 1, 2, 3}

    def test_the_difference_is_drawn_to_where_maps_end(self, comparison, monkeypatch):
        drawn = []
        monkeypatch.setattr(pictures_of_comparisons, "between_overlay", lambda image, values, high: drawn.append((values, high)) or image)
        (row,) = pictures_of_comparisons.difference_rows(comparison)
        ((values, end),) = drawn
        seen = values[np.isfinite(values)]
        assert end == pytest.approx(float(np.quantile(np.abs(seen), 0.99)))
        above = float((np.abs(seen) > end).mean())
        assert f"full from ±{1000 * end:.2g} per 1,000 pixels on, {percent(above)} of the pixels are above" in row.images[1][0]

    def test_fields_and_branches_are_there(self, comparison):
        vit, resnet = comparison.models
        assert len(vit.fields) == len(resnet.fields) == 6
        assert len(resnet.operator) == 6
        assert not vit.operator
        assert "no ResNet" in vit.missing["operator"]
        assert "no attention" in resnet.missing["heads"]
        assert len(vit.branches) == len(resnet.branches) == 6

    def test_the_same_images_give_the_same_numbers(self, comparison, models, pictures):
        again = compare(models, pictures, points=4, shown=0, fields=2)
        assert np.array_equal(comparison.between(0, 1, "pooled", "rbf").low, again.between(0, 1, "pooled", "rbf").low)
        assert np.array_equal(comparison.models[1].fields[2].weights, again.models[1].fields[2].weights)

    def test_alignment(self, comparison):
        assert comparison.aligned("depth") == [(index, index) for index in range(6)]
        value = comparison.between(0, 1).value
        assert comparison.aligned("cka") == [(row, int(value[row].argmax())) for row in range(6)]
        assert comparison.aligned("stride")[0][1] in range(2, 6)


class TestStreaming:
    def test_even_batches(self):
        assert list(even_batches(range(11), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10]]
        assert list(even_batches(range(12), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
        assert list(even_batches(range(13), 5, 3)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]
        assert list(even_batches(range(3), 4)) == [[0, 1, 2]]
        assert list(even_batches([], 4)) == []

    def test_images_are_let_go(self, models, monkeypatch):
        living, most = [], []

        def make(number):
            most.append(sum(reference() is not None for reference in living))
            image_array = np.full((90, 90, 3), number, np.uint8)
            living.append(weakref.ref(image_array))
            return image_array

        monkeypatch.setattr("vizlib.datasets.image_source.read_image", make)
        compare(models, list(range(12)), kernels=("linear",), readings=("pooled",), **SMALL)
        assert len(most) == 12
        assert max(most) <= 1  # the one before

    def test_it_can_be_stopped(self, models, pictures):
        progress = Progress()
        progress._cancel.set()
        with pytest.raises(CancelledError):
            compare(models, pictures, **SMALL, progress=progress)
        reports = []
        compare(models, pictures, **SMALL, progress=lambda *report: reports.append(report))
        assert reports[-1][0] == reports[-1][1]
        assert [report_seen[0] for report_seen in reports] == sorted(report_seen[0] for report_seen in reports)


class TestBadInput:
    def test_one_image(self, models, pictures):
        comparison = compare(models, pictures[0], **{**SMALL, "shown": 1, "steps": 2})
        assert comparison.missing["cka"] == "CKA needs at least 4 pictures, and there is 1."
        assert "at least 2" in comparison.missing["similarity"]
        assert not comparison.cka
        assert np.isnan(comparison.models[0].similarity_error).all()
        with pytest.raises(MethodError, match="at least 4 pictures"):
            comparison.between(0, 1)
        assert "CKA needs at least 4 pictures, and there is 1." in html_page(comparison)

    def test_few_images_have_no_interval(self, models, pictures):
        comparison = compare(models, pictures[:5], **SMALL)
        assert comparison.missing["interval"] == "The interval of CKA needs at least 8 pictures, and there are 5."
        assert comparison.between(0, 1).low is None
        assert np.isfinite(comparison.between(0, 1).value).all()

    def test_different_classes_are_compared_by_features(self, models, pictures):
        other = vizlib.load("cct_tiny50", checkpoint="random", num_classes=3, labels=("a", "b", "c"))
        comparison = compare([models[0], other], pictures[:4], points=4, shown=1, fields=0, steps=2)
        assert comparison.missing["classes 0 1"].endswith("know different classes, so they are compared by features only.")
        assert comparison.same_answers() is None
        assert np.isfinite(comparison.between(0, 1).value).all()
        with pytest.raises(MethodError, match="only their features"):
            comparison.shown[0].difference()
        assert "compared by features only" in html_page(comparison)

    def test_a_folder_with_what_is_no_image(self, models, folder):
        comparison = compare(models, folder, **SMALL)
        assert comparison.images == ("0.png", "1.png", "2.png", "more/3.png", "more/4.png")
        assert [name for name, _ in comparison.skipped] == ["cut.jpg", "notes.txt"]
        assert all(name in html_page(comparison) for name in ("cut.jpg", "notes.txt"))

    def test_nothing_to_read(self, models, tmp_path):
        with pytest.raises(ImageError, match="There are no images"):
            compare(models, tmp_path, **SMALL)
        (tmp_path / "a.txt").write_text("a", encoding="utf-8")
        with pytest.raises(ImageError, match=r"None of 1 picture could be compared \(a.txt"):
            compare(models, tmp_path, **SMALL)

    def test_what_cannot_be_asked(self, models, pictures):
        with pytest.raises(MethodError, match="2 to 4 models, not 1"):
            compare(models[:1], pictures)
        with pytest.raises(MethodError, match="no kernel 'cosine'"):
            compare(models, pictures, kernels=("cosine",))

    def test_the_same_model_twice_is_told_apart(self, models, pictures):
        comparison = compare([models[0], models[0]], pictures[:4], **SMALL)
        assert [measures.name for measures in comparison.models] == ["vit_tiny50", "vit_tiny50 (2)"]
        assert [measures.display_name for measures in comparison.models] == ["ViT", "ViT (2)"]
        assert comparison.between(0, 1).value.diagonal() == pytest.approx(1)
        assert comparison.same_answers() == 1


class TestFiles:
    def test_arrays_and_tables(self, comparison, tmp_path):
        home = save_arrays(comparison, tmp_path / "numbers")
        with np.load(home / "comparison.npz") as arrays:
            assert np.array_equal(arrays["cka/tokens/linear/value"], comparison.cka["tokens", "linear"].value)
            assert np.array_equal(arrays["shown/0/attribution/vit_tiny50"], comparison.shown[0].attributions[0].map)
            assert arrays["resnet_tiny50/operator"].shape == (6, 64, 64)
        rows = parquet.read_table(home / "cka.parquet").to_pylist()
        assert len(rows) == 4 * 12 * 12
        key = ("pooled", "rbf", "vit_tiny50", "blocks.1", "resnet_tiny50", "layer2.0")
        (row,) = [row_read for row_read in rows if tuple(row_read.values())[:6] == key]
        assert row["cka"] == comparison.between(0, 1, "pooled", "rbf").value[1, 1]
        assert row["low"] == comparison.between(0, 1, "pooled", "rbf").low[1, 1]
        layers = parquet.read_table(home / "layers.parquet").to_pylist()
        assert [row_read["operator_reach"] for row_read in layers][:6] == [None] * 6
        assert layers[7]["effective_rank"] == comparison.models[1].rank[1]
        assert len(parquet.read_table(home / "heads.parquet")) == sum(len(site.distance) for site in comparison.models[0].heads)
        assert parquet.read_table(home / "images.parquet")["vit_tiny50_answer"].to_pylist() == comparison.models[0].answers.tolist()
        assert not (home / "skipped.parquet").exists()
        about = json.loads((home / "comparison.json").read_text(encoding="utf-8"))
        assert about["settings"]["points"] == 4
        assert about["attributions"][0]["models"]["vit_tiny50"]["gap"] == comparison.shown[0].attributions[0].gap

    def test_the_page_needs_nothing_else(self, comparison, tmp_path):
        text = write_html(comparison, tmp_path / "report.html").read_text(encoding="utf-8")
        assert not (tmp_path / "report.html.part").exists()
        body = text.split("</head>")[1].replace('<a href="https://', "")
        assert "http" not in body
        # The identifiers stand once, where the table says what a model is called in files.
        assert [body.count(name) for name in ("vit_tiny50", "resnet_tiny50")] == [1, 1]
        assert "<h1>ViT against ResNet</h1>" in text
        assert "<script src" not in text
        assert "<link" not in text.split("<script>")[0]
        data = json.loads(text.split('id="data">')[1].split("</script>")[0])
        drawn = data["cka"]["tokens/linear"]["0-1"]["data"][0]["z"]  # as Plotly packs arrays
        value = np.frombuffer(base64.b64decode(drawn["bdata"]), drawn["dtype"]).reshape(6, 6)
        assert np.array_equal(value, comparison.between(0, 1).value)
        assert {"distance", "entropy", "spectrum", "similarity", "rank", "branches", "norm"} <= set(data["charts"])
        assert len(data["layers"]) == 2
        assert data["pairs"][0]["grids"] == [[8, 8], [16, 16]]

    def test_names_are_escaped(self, models, pictures, tmp_path):
        Image.fromarray(pictures[0]).save(tmp_path / "<script>alert(1)<.png")
        comparison = compare(models, tmp_path, **{**SMALL, "shown": 1, "steps": 2})
        text = html_page(comparison)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;.png" in text

    def test_where_it_cannot_be_written(self, comparison, tmp_path):
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(VizlibError, match="cannot be written"):
            write_html(comparison, tmp_path / "file" / "report.html")
        with pytest.raises(VizlibError, match="cannot be written"):
            save_arrays(comparison, tmp_path / "file" / "numbers")

    def test_findings_say_what_was_measured(self, comparison):
        said = findings(comparison)
        first = comparison.models[0]
        distance = first.heads[0].distance / first.diagonal
        (heads_said,) = [finding for finding in said if "first attention" in finding.text]
        low, high = percent(distance.min()), percent(distance.max())
        assert f"look {low if low == high else f'{low} to {high}'} of the" in heads_said.text
        each = first.of_each.distance / first.diagonal
        assert np.allclose(each.mean(0), distance)
        low, high = bootstrap_interval(each, lambda means: means.max(1))
        assert low < distance.max() < high
        assert heads_said.claim.verdict is verdict_above(low, high, 0.3)
        value = comparison.between(0, 1).value
        assert any(f"CKA {value.max():.2f}" in finding.text for finding in said)


class TestCommand:
    def test_page_and_arrays(self, folder, tmp_path):
        words = ["compare", "vit_tiny50=random", "resnet_tiny50=random", "--images", folder, "--out", tmp_path / "r.html"]
        result = CliRunner().invoke(app, [*map(str, words), "--arrays", str(tmp_path / "n"), "--shown", "0", "--points", "4", "--json"])
        assert result.exit_code == 1, result.output  # some of it was left out
        printed = json.loads(result.stdout)
        assert [skipped_image["image"] for skipped_image in printed["skipped"]] == ["cut.jpg", "notes.txt"]
        assert printed["images"] == 5
        assert "cut.jpg" in result.stderr
        assert (tmp_path / "r.html").is_file()
        assert (tmp_path / "n" / "cka.parquet").is_file()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["vit_tiny50"], "two to four models, not 1"),
            (["vit_tiny50", "nothing_at_all"], "nothing_at_all"),
            (["vit_tiny50", "resnet_tiny50", "--fit", "bend"], "no fit 'bend'"),
        ],
    )
    def test_misuse(self, folder, words, said):
        result = CliRunner().invoke(app, ["compare", *words, "--images", str(folder)])
        assert result.exit_code == 2
        assert said in result.stderr

    def test_a_folder_that_is_not_there(self, tmp_path):
        result = CliRunner().invoke(app, ["compare", "vit_tiny50", "resnet_tiny50", "--images", str(tmp_path / "none")])
        assert result.exit_code == 2
        assert not Path("comparison.html").exists()
