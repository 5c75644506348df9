"""The report of an audit: one small file that needs nothing else, whose sentences are made from the numbers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from handmade_audit import handmade
from PIL import Image

import vizlib
from vizlib.auditing.clusters import Removal, StrategyCluster
from vizlib.auditing.overview.api import overview
from vizlib.auditing.overview.map_agreement import Agreement
from vizlib.auditing.report.charts import interval_bar
from vizlib.auditing.report.findings import between, findings, gain_words, missing_presets, removal_words
from vizlib.auditing.report.report_html import write_report
from vizlib.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.auditing.result import Audit

EVIL = "<script>alert(1)</script>"


def boxed(picture: int, _model: str, _method: str) -> tuple[dict[str, Any], np.ndarray]:
    grid_map = np.zeros((4, 4))
    grid_map[picture % 4, 0] = -1 if picture == 5 else 3
    row = {
        "label": picture % 2, "label_name": ("cat", EVIL)[picture % 2], "prediction": 0, "predicted": "cat", "right": picture % 2 == 0,
        "probability": 0.75, "evenness": 0.4, "region_share": 0.2, "region_area": 0.5, "pointing": 0.0,
    }  # fmt: skip
    return row, grid_map


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_mistakes_made_as_often_are_not_called_the_commonest(tmp_path: Path) -> None:
    def make(picture: int, model: str, method: str) -> tuple[dict[str, Any], np.ndarray]:
        row, grid_map = boxed(picture, model, method)
        return row | {"label": 1, "label_name": "cat", "prediction": picture + 2, "predicted": str(picture), "right": False}, grid_map

    sentences = findings(overview(handmade(tmp_path / "a", 2, make)))
    assert sentences[1] == "No mistake of m is made more often than all others: its 2 commonest are made once each."


def test_sentences_are_made_from_the_numbers(tmp_path: Path) -> None:
    view = overview(handmade(tmp_path / "a", 20, boxed))
    sentences = findings(view)
    assert sentences[0] == "m is right on 50.0\u00a0% of 20 pictures (29.9 to 70.1\u00a0%), and gives its answers 75.0\u00a0% on average."
    assert sentences[1] == f"The only mistake of m is to take {EVIL} for cat: 10 of 10, 100\u00a0% (72 to 100\u00a0%)."
    assert sentences[2] == (
        "m, Attention rollout: 20.0\u00a0% of the map lies on the object of 20 pictures, where an even map has 50.0\u00a0%: "
        "\u221230.0\u00a0percentage\u00a0points (95\u00a0%: \u221230.0 to \u221230.0). "
        "Its highest pixel lies there in 0.0\u00a0% (0.0 to 16.1\u00a0%), a pixel drawn at random in 50.0\u00a0%."
    )
    assert sentences[3].startswith(
        "m, Attention rollout: of 10 right answers 100\u00a0% (72 to 100\u00a0%) have a map that lies less on the object"
    )
    assert missing_presets(view) == {
        "artifacts": "no token stands out, or the audit was made without heads, which counts them",
        "methods_apart": "there is one method",
        "from_last": "there are fewer than three models, or this is the last",
        "models_apart": "there is one model, or models see other parts of the pictures",
    }


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        ((0.1, 0.05, 0.15), "+10.0 percentage points (95 %: +5.0 to +15.0)"),
        ((-0.1, -0.15, -0.0002), "\u221210.00 percentage points (95 %: \u221215.00 to \u22120.02)"),  # not "to 0.0": it leaves 0 out
        ((0.01, -0.02, 0.04), "+1.0 percentage points (95 %: \u22122.0 to +4.0), which cannot be told from none"),
        ((0.3, float("nan"), float("nan")), "+30.0 percentage points (one picture, so no interval)"),
    ],
)
def test_what_chance_could_have_made_is_said(gain: tuple[float, float, float], words: str) -> None:
    assert gain_words(*gain).replace("\u00a0", " ") == words


def test_what_a_place_costs_in_words() -> None:
    def cluster(low: float, high: float) -> StrategyCluster:
        removal = Removal(24, 0.9, 0.4, 0.8, 0.3, low, high, np.ones((2, 2), dtype=bool))
        return StrategyCluster(0, "kite", 40, tuple(range(30)), np.ones((2, 2)) / 4, 0.1, 0.5, float("nan"), float("nan"), removal)

    words = removal_words(cluster(0.2, 0.4))
    assert words.startswith(
        "Without its place 40\u00a0% of 24 members are right, without as large a place elsewhere 80\u00a0%, as they are 90\u00a0%"
    )
    # 0.8 - 0.4 of three quarters of the class.
    assert words.replace("\u00a0", " ").endswith(
        "as the cluster is 75 % of the class, the place is worth +30.0 percentage points (95 %: +20.0 to +40.0) of the accuracy on the "
        "class."
    )
    assert removal_words(cluster(float("nan"), float("nan"))).endswith("One picture alone has no interval.")
    assert removal_words(cluster(-0.1, 0.4)).endswith("That cannot be told from no cost.")
    assert removal_words(cluster(-0.4, -0.1)).endswith("It is right more often without it.")


def test_an_interval_says_its_unit_once() -> None:
    assert between(0.5, 0.62) == "50.0 to 62.0\u00a0%"
    assert between(0.0001, 0.62, None) == "under 0.1 to 62\u00a0%"
    assert Agreement("methods", "m", "a", "b").count == 0
    assert "interval" not in interval_bar(0.5, float("nan"), float("nan"))


def test_the_file_needs_nothing_else_and_runs_nothing_of_the_data(tmp_path: Path) -> None:
    audit = handmade(tmp_path / "a", 20, boxed)
    path = write_report(audit)
    assert path == tmp_path / "a" / "report.html"
    page = path.read_text(encoding="utf-8")
    assert EVIL not in page
    assert 'src="http' not in page
    assert "<link" not in page
    assert "it shows the maps alone" in page
    assert "The table has all 20 rows." in page
    assert "No class has 20 pictures" not in page  # cat is answered 20 times
    data = data_of(page)
    assert data["thumbnails"] == {}
    assert data["values"]["predicted"]["words"] == ["cat"]
    assert data["maps"]["5"]["signed"] is True
    assert page == write_report(audit, tmp_path / "again.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Audit]:
    home = tmp_path_factory.mktemp("with_data")
    draw = np.random.default_rng(3)
    lines = ["path,label,x0,y0,x1,y1"]
    for number in range(6):
        name = f"{number}.png"
        Image.fromarray(draw.integers(0, 255, (40, 70, 3), dtype=np.uint8)).save(home / name)
        lines.append(f"{name},{('goose', 'pizza')[number % 2]},10,10,50,30")
    (home / "list.csv").write_text("\n".join(lines))
    return home / "list.csv", vizlib.audit(home / "list.csv", "vit_tiny50", "rollout", home / "audit", heads=True)


def test_with_its_data_pictures_lie_under_the_maps_where_the_model_saw_them(pictures: tuple[Path, Audit], tmp_path: Path) -> None:
    table, audit = pictures
    page = write_report(audit, tmp_path / "r.html", data=table).read_text(encoding="utf-8")
    data = data_of(page)
    assert set(data["thumbnails"]) == {str(number) for number in range(6)}
    seen = data["maps"]["0"]["seen"]
    geometry = vizlib.load("vit_tiny50").geometry((40, 70))
    expected = geometry.box_to_image([0, 0, *geometry.input_size]) / [40, 70, 40, 70]
    np.testing.assert_allclose(seen, expected, rtol=1e-3)
    assert "it shows the maps alone" not in page
    assert "one standard deviation of pictures" in page  # heads were asked for
    assert "No class has 20 pictures, which clusters need." in page


def test_other_data_or_models_are_refused(pictures: tuple[Path, Audit], tmp_path: Path) -> None:
    table, audit = pictures
    with pytest.raises(AuditError, match="not the data"):
        write_report(audit, tmp_path / "r.html", data=[table.parent / "0.png"])
    with pytest.raises(AuditError, match="The models are resnet_tiny50; the audit's are vit_tiny50"):
        write_report(audit, tmp_path / "r.html", data=table, models="resnet_tiny50")
    assert not (tmp_path / "r.html").exists()


def test_the_command_writes_it_at_the_end(pictures: tuple[Path, Audit], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from vizlib.cli import app

    table, _ = pictures
    arguments = ["audit", str(table), "--model", "vit_tiny50", "--out", str(tmp_path / "a")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert str(tmp_path / "a" / "report.html") in result.output
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert len(data_of(page)["thumbnails"]) == 6
    (tmp_path / "a" / "report.html").unlink()
    result = CliRunner().invoke(app, [*arguments, "--no-report"])
    assert result.exit_code == 0
    assert "report.html" not in result.output
    assert not (tmp_path / "a" / "report.html").exists()


def test_the_command_says_how_folders_became_classes(tmp_path: Path) -> None:
    import timm
    from typer.testing import CliRunner

    from vizlib.cli import app

    torch.save(timm.create_model("resnet10t", num_classes=2).state_dict(), tmp_path / "mine.pth")
    for name in ("cat", "ant"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "photos" / name / "0.png")
    for model, words in ((f"resnet10t={tmp_path / 'mine.pth'}", "folders in sorted order"), ("vit_tiny50", "cannot be matched to the 50")):
        result = CliRunner().invoke(
            app,
            ["audit", str(tmp_path / "photos"), "--model", model, "--method", "saliency", "--out", str(tmp_path / words), "--no-report"],
        )
        assert result.exit_code == 0
        assert words in result.output
        assert ("no label that it knows" in result.output) == (model == "vit_tiny50")
    bare = vizlib.audit([np.zeros((64, 64, 3), np.uint8)], "vit_tiny50", "saliency", tmp_path / "bare")
    assert findings(overview(bare))[0] == "ViT: the pictures have no labels, so nothing is right or wrong."


def test_classes_of_a_checkpoint_in_their_own_order_are_named_by_a_file(tmp_path: Path) -> None:
    import timm
    from typer.testing import CliRunner

    from vizlib.cli import app

    network = timm.create_model("resnet10t", num_classes=3)
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))  # always class 1
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n", encoding="utf-8")
    for name, count in (("cat", 1), ("dog", 2), ("bird", 4)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((64, 64, 3), 10 * number, np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    words = ["audit", str(tmp_path / "photos"), "--model", f"resnet10t={tmp_path / 'mine.pth'}", "--method", "saliency", "--no-report"]
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "names.txt"), "--out", str(tmp_path / "a")])
    assert result.exit_code == 0
    assert "right 28.6" in result.output  # two of seven
    assert "sorted order" not in result.output
    (tmp_path / "photos" / "bird").rename(tmp_path / "photos" / "birds")
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "names.txt"), "--out", str(tmp_path / "c")])
    assert result.exit_code == 0
    assert "right 66.7" in result.output  # two of three: what is not known moves no other
    note = "It has no class of its own for 1 of the 3 classes of the data, birds: their pictures count as without a label."
    assert f"note: resnet10t: {note}" in result.output
    audit = vizlib.Audit.open(tmp_path / "c")
    assert audit.notes == [f"resnet10t: {note}"]
    assert findings(overview(audit))[0].endswith(f": {note}")
    (tmp_path / "photos" / "birds").rename(tmp_path / "photos" / "bird")
    (tmp_path / "other.txt").write_text("cat\ndog\ncrow\n", encoding="utf-8")
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "other.txt"), "--out", str(tmp_path / "a")])
    assert result.exit_code == 2  # not the audit that is there
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "none.txt"), "--out", str(tmp_path / "b")])
    assert result.exit_code == 2
    assert "cannot be read" in result.output
