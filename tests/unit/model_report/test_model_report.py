"""The report on the bundled models: every measurement against another way to it, and the file and the commands around them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny_data import NAMES, parquet_layout
from torch import nn
from typer.testing import CliRunner

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.cli import app
from vizlib.datasets.tiny_imagenet import read_split
from vizlib.errors import TrainingError
from vizlib.model_report import cost
from vizlib.model_report.calibration import reliability
from vizlib.model_report.measure import MAX_PASSES, _differences, measure
from vizlib.model_report.report_file import FILE, FOLDER, SCHEMA, read_report, write_report
from vizlib.train import recipes
from vizlib.train.data_fractions import read_fraction_runs, take_share
from vizlib.train.loop import accuracy
from vizlib.train.recipes import RECIPES, Recipe
from vizlib.zoo.cards import bundled_cards

if TYPE_CHECKING:
    from vizlib import Model
    from vizlib.datasets.tiny_imagenet import ImageSet

TINY = Recipe(epochs=2, batch=2)


def random_model(name: str) -> Model:
    return vizlib.load(name, checkpoint="random", num_classes=2, labels=NAMES)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return parquet_layout(tmp_path / "data")


@pytest.fixture
def splits(home: Path) -> tuple[ImageSet, ImageSet]:
    return read_split(home, "train"), read_split(home, "val")


class TestReliability:
    def test_by_hand(self) -> None:
        confidence, right = torch.tensor([0.5, 0.55, 0.95, 1.0, 0.1]), torch.tensor([True, False, True, True, False])
        diagram = reliability(confidence, right, bins=2)
        assert diagram.counts == [2, 3]  # 0.5 is the end of the first bin
        assert diagram.confidence == pytest.approx([0.3, 2.5 / 3])
        assert diagram.right == pytest.approx([0.5, 2 / 3])
        assert diagram.error == pytest.approx((2 * 0.2 + 3 * (2.5 - 2) / 3) / 5)
        assert diagram.mean_confidence == pytest.approx(0.62)

    def test_by_a_loop(self) -> None:
        rng = np.random.default_rng(0)
        confidence, right = rng.random(500), rng.random(500) < 0.4
        error, counts = 0.0, []
        for k in range(15):
            inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
            counts.append(int(inside.sum()))
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        diagram = reliability(torch.from_numpy(confidence), torch.from_numpy(right))
        assert diagram.counts == counts
        assert diagram.error == pytest.approx(error)

    def test_ends_and_empty_bins(self) -> None:
        diagram = reliability(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]))
        assert (diagram.counts[0], diagram.counts[-1], sum(diagram.counts)) == (1, 1, 2)
        assert diagram.confidence[1:-1] == [None] * 13
        assert diagram.error == 0


class TestCost:
    def test_a_vit_by_its_sizes(self) -> None:
        tokens, width, hidden = 65, 192, 576
        embed = 64 * width * 3 * 8 * 8
        block = tokens * (width * 3 * width + width * width + 2 * width * hidden) + 2 * tokens * tokens * width
        model = vizlib.load("vit_tiny50", checkpoint="random")
        assert cost.multiply_adds(model, torch.zeros(1, 3, 64, 64)) == embed + 6 * block + width * 50
        assert cost.multiply_adds(model, torch.zeros(2, 3, 64, 64)) == 2 * (embed + 6 * block + width * 50)

    def test_a_resnet_layer_by_layer(self) -> None:
        model = vizlib.load("resnet_tiny50", checkpoint="random")
        total: list[int] = []

        def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
            total.append(output[0].numel() * layer.weight[0].numel())

        shadow = vizlib.load("resnet_tiny50", checkpoint="random").module.eval()
        for layer in shadow.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(count)
        with torch.no_grad():
            shadow(torch.zeros(1, 3, 64, 64))
        assert cost.multiply_adds(model, torch.zeros(1, 3, 64, 64)) == sum(total)

    def test_the_performer_is_cheaper_than_what_it_stands_for(self) -> None:
        counted = [
            cost.multiply_adds(vizlib.load(name, checkpoint="random"), torch.zeros(1, 3, 64, 64)) for name in ("t2t_tiny50", "t2t_t_tiny50")
        ]
        assert counted[0] < counted[1]

    def test_times(self) -> None:
        median, least = cost.milliseconds(random_model("resnet_tiny50"), torch.zeros(1, 3, 64, 64), passes=3)
        assert 0 < least <= median
        assert cost.processor()


class TestMeasuring:
    def test_every_section(self, splits: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
        train, val = splits
        models = [random_model(name) for name in ("vit_tiny50", "resnet_tiny50")]
        reports: list[Any] = []
        explained = 0
        report = measure(train, val, tmp_path, models=models, tell=reports.append)
        for model in models:
            name = model.card.name
            top1, _ = accuracy(model.module, val)
            assert report["accuracy"][name]["top1"][0] == top1
            assert report["accuracy"][name]["top5"][0] == 1  # of two classes
            table = np.array(report["confusion"][name])
            assert (table.sum(1) == np.bincount(val.labels)).all()
            assert table.trace() / len(val) == top1
            assert sum(report["calibration"][name]["counts"]) == len(val)
            quick = [method for method in model.card.methods if METHODS[method].passes <= MAX_PASSES]
            assert "occlusion" not in quick
            assert set(report["localisation"]["models"][name]) == set(quick)
            explained += len(quick)
            for scores in report["localisation"]["models"][name].values():
                assert scores["all"]["area"] == pytest.approx(60 * 62 / 4096)
        gain = report["accuracy"]["vit_tiny50"]["top1"][0] - report["accuracy"]["resnet_tiny50"]["top1"][0]
        gains, gains_back = report["differences"]["vit_tiny50"]["resnet_tiny50"], report["differences"]["resnet_tiny50"]["vit_tiny50"]
        assert gains[0] == pytest.approx(gain)
        assert gains == pytest.approx([-gains_back[0], -gains_back[2], -gains_back[1]])
        assert reports[-1].explained == reports[-1].total == explained * len(val)

    def test_differences_by_hand(self) -> None:
        gains = _differences({"a": torch.tensor([1, 1, 1, 0] * 50).bool(), "b": torch.tensor([1, 0, 0, 1] * 50).bool()})
        assert gains["a"]["b"][0] == pytest.approx(0.25)
        assert gains["b"]["a"] == pytest.approx([-0.25, -gains["a"]["b"][2], -gains["a"]["b"][1]])
        # The gain of an image is 1 for a half of them, 0 and -1 for a quarter each.
        spread = 1.96 * np.sqrt((0.75 - 0.25**2) / 200)
        assert gains["a"]["b"][1:] == pytest.approx([0.25 - spread, 0.25 + spread], abs=0.015)

    def test_only_times_differ_between_runs_and_workers(self, splits: tuple[ImageSet, ImageSet]) -> None:
        reports = [measure(*splits, models=[random_model("vit_tiny50")], workers=workers) for workers in (1, 2)]
        for report in reports:
            report["cost"]["vit_tiny50"] = report["cost"]["vit_tiny50"]["multiply_adds"]
        assert reports[0] == reports[1]

    def test_what_cannot_be_measured(self, splits: tuple[ImageSet, ImageSet]) -> None:
        with pytest.raises(TrainingError, match="No weights"):
            measure(*splits, models=[])
        with pytest.raises(TrainingError, match="other classes"):
            measure(*splits, models=[vizlib.load("vit_tiny50", checkpoint="random")])


class TestFile:
    def test_there_and_back(self, tmp_path: Path) -> None:
        report = {"about": {"images": 3}, "history": {}, "accuracy": {"a": {"top1": [1 / 3, 0.0, 1.0]}, "b": None}}
        path = write_report(report, tmp_path / "new")
        read_back = read_report(tmp_path / "new")
        assert read_back == {
            "schema": SCHEMA,
            "about": {"images": 3},
            "history": {},
            "accuracy": {"a": {"top1": [0.33333, 0.0, 1.0]}, "b": None},
        }
        assert len(path.read_text(encoding="utf-8").splitlines()) < 15
        assert not list(path.parent.glob("*.part"))

    def test_none_a_damaged_one_and_another_version(self, tmp_path: Path) -> None:
        assert read_report(tmp_path) == {}
        (tmp_path / FILE).write_text('{"schema": 1, ', encoding="utf-8")
        with pytest.raises(TrainingError, match="cannot be read"):
            read_report(tmp_path)
        (tmp_path / FILE).write_text('{"schema": 0}', encoding="utf-8")
        with pytest.raises(TrainingError, match="another version"):
            read_report(tmp_path)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(TrainingError, match="cannot be written"):
            write_report({}, tmp_path / "file")

    def test_the_report_that_is_shipped_is_of_the_weights_that_are_shipped(self) -> None:
        report = read_report()
        if not report:
            pytest.skip("There is no report yet: vizlib train report writes one.")
        assert (FOLDER / FILE).stat().st_size < 1.5e6
        shipped = {card.name: card for card in bundled_cards()}
        assert set(report["models"]) == set(shipped)
        for name, facts in report["models"].items():
            assert facts["sha256"] == shipped[name].training["sha256"], f"{name} changed since the report was made"
            assert report["accuracy"][name]["top1"][0] == pytest.approx(shipped[name].accuracy.top1, abs=0.004)


class TestShares:
    def test_a_note_beside_the_run(self, splits: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
        part = take_share(splits[0], "vit_tiny50", 0.5, 12, tmp_path / "a")
        assert np.bincount(part.labels).tolist() == [3, 3]
        assert read_fraction_runs(tmp_path) == []  # no epoch yet
        (tmp_path / "a" / "history.json").write_text('[{"epoch": 1, "top1": 0.5}]', encoding="utf-8")
        ((run, history),) = read_fraction_runs(tmp_path)
        assert (run.name, run.share, run.images, run.epochs) == ("vit_tiny50", 0.5, 6, 12)
        assert history[0]["top1"] == 0.5
        assert read_fraction_runs(tmp_path / "nowhere") == []

    def test_what_cannot_be_read_or_asked(self, splits: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match=r"0\.1, 0\.25, 0\.5"):
            take_share(splits[0], "vit_tiny50", 0.3, 12, tmp_path / "a")
        assert not (tmp_path / "a").exists()
        take_share(splits[0], "vit_tiny50", 0.1, 12, tmp_path / "a")
        (tmp_path / "a" / "history.json").write_text("[", encoding="utf-8")
        with pytest.raises(TrainingError, match="cannot be read"):
            read_fraction_runs(tmp_path)


class TestCommands:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in RECIPES:
            monkeypatch.setitem(recipes.RECIPES, name, TINY)

    def run(self, *words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    def test_a_share_is_trained_and_reported(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for length in ([], ["--epochs", 1]):
            result = self.run("train", "resnet_tiny50", "--data", home, "--share", "0.5", *length)
            assert result.exit_code == 0, result.output
        assert {path.name for path in Path("runs").iterdir()} == {"resnet_tiny50-share-50", "resnet_tiny50-share-50-1-epochs"}
        monkeypatch.setattr("vizlib.model_report.measure.measure", partial(measure, models=[random_model("vit_tiny50")]))
        result = self.run("train", "report", "--data", home, "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert "vit_tiny50" in result.stdout
        report = read_report(tmp_path / "out")
        runs = report["small_data"]["resnet_tiny50"]
        assert [(run["share"], run["images"], run["epochs"], run["epochs_done"]) for run in runs] == [(0.5, 6, 2, 2), (0.5, 6, 1, 1)]
        assert runs[0]["top1"][0] == json.loads(Path("runs/resnet_tiny50-share-50/history.json").read_text(encoding="utf-8"))[-1]["top1"]

    def test_no_runs_and_json(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("vizlib.model_report.measure.measure", partial(measure, models=[random_model("resnet_tiny50")]))
        result = self.run("train", "report", "--data", home, "--out", tmp_path / "out", "--json", "--threads", 1)
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        kept = json.loads((FOLDER / "small_data.json").read_text(encoding="utf-8"))
        assert report["small_data"] == kept["runs"]
        assert report["about"]["small_data"] == kept["about"]
        assert read_report(tmp_path / "out")["models"]["resnet_tiny50"]["family"] == "resnet"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["train", "--data", "x", "report"], "vizlib train report --data"),
            (["train", "vit_tiny50", "--data", "x", "--share", "0.2"], "0.1, 0.25, 0.5"),
            (["train", "vit_tiny50", "--data", "x", "--share", "0.1", "--ship", "y"], "not shipped"),
            (["train", "report", "--data", "nowhere"], "nowhere"),
        ],
    )
    def test_what_is_asked_wrongly(self, words: list[str], said: str) -> None:
        result = self.run(*words)
        assert result.exit_code == 2
        assert said in result.stderr
