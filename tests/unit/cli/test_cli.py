"""The command line: what it prints, what it writes, and every exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tiny_data import NAMES, folder_layout, jpeg
from typer.testing import CliRunner

import vizlib
from vizlib.catalog.family import NEEDS
from vizlib.cli import app
from vizlib.cli.image_files import BATCH, OutputFolders, expand_paths, in_batches
from vizlib.errors import TargetError
from vizlib.train import recipes
from vizlib.train.recipes import RECIPES, CardRecipe, Recipe, recipe

if TYPE_CHECKING:
    from typer.testing import Result

ROOT = Path(__file__).parents[3]
FILES = {"map.png", "map.npz", "image.png", "explanation.json"}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def read(*words: object) -> Any:
    """The JSON that a command prints, which must end well."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def in_process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vizlib", *words], cwd=ROOT, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    home = tmp_path / "photos"
    home.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (90, 60)), ("b.png", (50, 80))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(home / name)
    return home


class TestHelp:
    def test_cards_and_help_need_no_torch(self) -> None:
        code = (
            "import sys, vizlib.cli\n"
            "from typer.testing import CliRunner\n"
            "words = [[name, '--help'] for name in ('models', 'methods', 'explain', 'replay', 'train', 'eval')]\n"
            "for line in [['--help'], ['--version'], ['models'], ['models', 'vit_tiny50'], ['models', '--json'], ['methods'], *words]:\n"
            "    assert CliRunner().invoke(vizlib.cli.app, line).exit_code == 0, line\n"
            "print([name for name in ('torch', 'timm', 'cv2', 'captum', 'streamlit') if name in sys.modules])"
        )
        process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert process.stdout.strip() == "[]", process.stderr

    @pytest.mark.parametrize("command", ["models", "methods", "explain", "replay", "train", "eval"])
    def test_every_command_has_examples(self, command: str) -> None:
        text = run(command, "--help").stdout
        assert f"vizlib {command}" in text.split("For example")[1]

    def test_explain_names_what_can_be_chosen(self) -> None:
        from vizlib.figures.colormaps import COLORMAP_NAMES
        from vizlib.images import FITS

        text = " ".join(run("explain", "--help").stdout.replace("│", "").split())
        assert all(name in text for name in (*COLORMAP_NAMES, *FITS))

    def test_without_a_command_the_help_is_printed(self) -> None:
        result = run()
        assert result.exit_code == 2
        assert "explain" in result.stdout

    def test_version(self) -> None:
        assert run("--version").stdout == f"vizlib {vizlib.__version__}\n"
        assert run("version").stdout.startswith(f"vizlib {vizlib.__version__}\n")


class TestCards:
    def test_models(self) -> None:
        result = run("models")
        assert result.exit_code == 0
        for card in vizlib.models():
            assert any(line.split()[:3] == [card.name, card.family, card.source] for line in result.stdout.splitlines()), card.name

    def test_models_as_json_and_filtered(self) -> None:
        everything = read("models")
        assert [card["name"] for card in everything] == [card.name for card in vizlib.models()]
        bundled = read("models", "--source", "bundled", "--family", "resnet")
        assert [card["name"] for card in bundled] == ["resnet_tiny50"]
        assert bundled[0]["methods"]
        assert set(bundled[0]["unavailable"]) == {card.name for card in vizlib.methods()} - set(bundled[0]["methods"])

    def test_one_model(self) -> None:
        text = run("models", "vit_tiny50").stdout
        card = vizlib.models()[0]
        assert all(part in text for part in (card.licence, card.paper, "tabby", *card.methods))
        assert all(f"no {method}: {why}" in text for method, why in card.unavailable.items())
        assert read("models", "vit_tiny50")["parameters"] == card.parameters

    def test_methods(self) -> None:
        text = run("methods").stdout
        for card in vizlib.methods():
            assert all(part in text for part in (card.title, card.paper, card.paper_url, *(option.help for option in card.options)))
        assert [card["name"] for card in read("methods")] == [card.name for card in vizlib.methods()]
        assert read("methods", "rollout")["options"][0]["name"] == "head_fusion"
        assert "Grad-CAM" not in run("methods", "rollout").stdout

    def test_every_need_has_words(self) -> None:
        assert {need for card in vizlib.methods() for need in card.needs} <= set(NEEDS)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("models", "vit_tiny5"), "Did you mean 'vit_tiny50'"),
            (("models", "--family", "cnn"), "there are"),
            (("models", "--source", "nowhere"), "bundled"),
            (("models", "vit_tiny50", "--family", "vit"), "leave them out"),
            (("methods", "rolout"), "Did you mean 'rollout'"),
            (("modles",), "Did you mean 'models'"),
            (("models", "--color"), "No such option: --color"),
            (("--nothing",), "No such option"),
        ],
    )
    def test_what_is_not_there(self, words: tuple[str, ...], said: str) -> None:
        assert_one_error(run(*words), 2, said)


def assert_one_error(result: Result, code: int, said: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert "Traceback" not in result.output


class TestExplain:
    def test_photos_folders_and_patterns(self, photos: Path, tmp_path: Path) -> None:
        shutil.copy(photos / "b.png", photos / "a.png")
        rows = read("explain", photos, photos / "a.jpg", photos / "*.png", "--out", tmp_path / "out")
        assert [Path(row["folder"]).relative_to(tmp_path / "out").name for row in rows] == ["a", "a-2", "b"]
        for row in rows:
            folder = Path(row["folder"])
            assert {path.name for path in folder.iterdir()} == FILES
            assert row["method"] == "rollout"
            assert len(row["predictions"]) == 5
            assert row["target"] == row["predictions"][0]["index"]
            with np.load(folder / "map.npz") as arrays:
                assert arrays["input_map"].sum() + arrays["sink"] == pytest.approx(1, abs=1e-9)
                assert float(arrays["sink"]) == row["sink"]

    def test_the_proof_under_a_map(self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vizlib.evaluation.protocol.RANDOM_MAPS", 1)
        monkeypatch.setattr("vizlib.evaluation.protocol.BASELINES", ("mean",))
        words = ("explain", photos / "a.jpg", "--method", "grad_cam", "--out", tmp_path, "--evaluate")
        measures = read(*words)[0]["proof"]
        assert measures["badge"]["verdict"] in ("passed", "mixed", "failed")
        assert (
            measures["badge"]["passed"]
            == sum(line["passed"] for line in measures["lines"])
            <= measures["badge"]["tests"]
            == len(measures["lines"])
        )
        assert list(measures["scores"]) == ["deletion", "insertion", "sensitivity_n", "infidelity", "max_sensitivity"]
        assert list(measures["checks"]) == ["head", "cascade", "class"]
        model, picture = vizlib.load("vit_tiny50"), photos / "a.jpg"
        expected = vizlib.evaluate(model, picture, vizlib.explain(model, picture, "grad_cam"), ["deletion"])["deletion"]
        assert measures["scores"]["deletion"]["value"] == pytest.approx(expected.value)
        table = " ".join(run(*words).stdout.split())
        assert f"{measures['badge']['verdict']} {measures['badge']['passed']}/{measures['badge']['tests']}" in table
        assert all(line["title"] in table for line in measures["lines"])
        bare = run("explain", photos / "a.jpg", "--checkpoint", "random", "--num-classes", 0, "--out", tmp_path, "--evaluate")
        assert_one_error(bare, 2, "leave --evaluate out")

    def test_the_table(self, photos: Path, tmp_path: Path) -> None:
        result = run("explain", photos / "a.jpg", "--out", tmp_path / "out", "--target", "tabby", "--top", 3)
        assert result.exit_code == 0
        row = next(line for line in result.stdout.splitlines() if str(photos / "a.jpg") in line)
        assert "%" in row
        assert "tabby" in row
        assert str(tmp_path / "out" / "a") in row
        assert result.stdout.count("%") == 3

    def test_it_is_the_explanation_that_python_gives(self, photos: Path, tmp_path: Path) -> None:
        run("explain", photos / "a.jpg", "--out", tmp_path, "--option", "head_fusion=max", "--option", "discard-ratio=0.5", "--fit", "pad")
        explanation = vizlib.explain(
            vizlib.load("vit_tiny50"), photos / "a.jpg", "rollout", fit="pad", head_fusion="max", discard_ratio=0.5
        )
        assert isinstance(explanation, vizlib.Explanation)
        with np.load(tmp_path / "a" / "map.npz") as arrays:
            np.testing.assert_array_equal(arrays["input_map"], explanation.input_map)

    def test_the_method_is_the_first_that_fits(self, photos: Path, tmp_path: Path) -> None:
        row = read("explain", photos / "a.jpg", "--model", "resnet_tiny50", "--out", tmp_path, "--target", "3")[0]
        card = next(card for card in vizlib.models() if card.name == "resnet_tiny50")
        assert row["method"] == card.methods[0]
        assert (row["target"], row["label"]) == (3, "goose")

    def test_two_targets_are_a_difference(self, photos: Path, tmp_path: Path) -> None:
        row = read("explain", photos / "a.jpg", "--target", "tabby", "--target", "12", "--out", tmp_path)[0]
        assert (row["target"], row["label"]) == ([11, 12], "tabby minus lion")

    def test_a_model_of_ones_own(self, photos: Path, tmp_path: Path) -> None:
        labels = tmp_path / "names.txt"
        labels.write_text("sea\nair\n7\n", encoding="utf-8")
        common = ("explain", photos / "a.jpg", "--checkpoint", "random", "--num-classes", 3, "--image-size", "32x64", "--labels", labels)
        row = read(*common, "--target", "7", "--dtype", "bfloat16", "--out", tmp_path / "out")[0]
        assert (row["target"], row["label"]) == (2, "7")
        with np.load(tmp_path / "out" / "a" / "map.npz") as arrays:
            assert arrays["input_map"].shape == (32, 64)

    def test_opacity_and_colours_reach_the_picture(self, photos: Path, tmp_path: Path) -> None:
        run("explain", photos / "b.png", "--opacity", 0, "--fit", "squash", "--out", tmp_path / "clear")
        np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / "clear" / "b" / name)) for name in ("map.png", "image.png")))
        run("explain", photos / "b.png", "--colormap", "magma", "--out", tmp_path / "magma")
        run("explain", photos / "b.png", "--out", tmp_path / "plain")
        assert (tmp_path / "magma" / "b" / "map.png").read_bytes() != (tmp_path / "plain" / "b" / "map.png").read_bytes()

    def test_what_cannot_be_read_stops_nothing_else(self, photos: Path, tmp_path: Path) -> None:
        (photos / "aa.jpg").write_bytes(b"no image")
        result = run("explain", photos, photos / "gone.jpg", "nothing-*.jpg", "--out", tmp_path / "out")
        assert result.exit_code == 1
        lines = result.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("error: ") for line in lines)
        assert all(any(name in line for line in lines) for name in ("aa.jpg", "gone.jpg", "nothing-*.jpg"))
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}
        as_json = run("explain", photos / "gone.jpg", photos / "a.jpg", "--out", tmp_path / "out", "--json")
        assert as_json.exit_code == 1
        assert ["error" in row for row in json.loads(as_json.stdout)] == [False, True]

    def test_with_nothing_to_read_it_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert_one_error(run("explain", tmp_path / "empty", "--out", tmp_path / "out"), 1, "no pictures")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--target", "tabbi"), "Did you mean 'tabby'"),
            (("--target", "50"), "classes 0 to 49"),
            (("--target", "-1"), "classes 0 to 49"),
            (("--target", "1", "--target", "2", "--target", "3"), "twice for a difference"),
            (("--method", "rolout"), "Did you mean 'rollout'"),
            (("--method", "guided_backprop"), "does not fit vit_tiny50"),
            (("--model", "vit_tiny500"), "Did you mean"),
            (("--model", "resnet_tiny50", "--method", "attention"), "does not fit"),
            (("--option", "head_fusion"), "NAME=VALUE"),
            (("--option", "fusion=max", "--method", "rollout"), "no option 'fusion'"),
            (("--option", "fusion=max"), "no option 'fusion'"),
            (("--option", "head_fusion=best"), "mean, max, min"),
            (("--option", "discard_ratio=nan"), "as a number"),
            (("--option", "residual_weight=2"), "from 0.0 to 1.0"),
            (("--checkpoint", "gone.safetensors"), "gone.safetensors"),
            (("--device", "toaster"), "not a device"),
            (("--dtype", "int8"), "not a precision"),
            (("--image-size", "64by64"), "--image-size takes"),
            (("--image-size", "0"), "positive number"),
            (("--labels", "gone.txt"), "gone.txt"),
            (("--num-classes", "-1"), "--num-classes"),
            (("--fit", "stretch"), "crop, pad, squash"),
            (("--colormap", "jet"), "viridis"),
            (("--opacity", "2"), "--opacity"),
        ],
    )
    def test_misuse_writes_nothing(self, photos: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
        result = run("explain", photos / "a.jpg", "--out", tmp_path / "out", *words)
        assert_one_error(result, 2, said)
        assert not (tmp_path / "out").exists()

    def test_photos_are_required(self) -> None:
        assert_one_error(run("explain"), 2, "Missing argument")

    def test_a_folder_that_cannot_be_written(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        assert_one_error(run("explain", photos / "a.jpg", "--out", tmp_path / "file"), 1, "cannot be written")

    @pytest.mark.parametrize("way", ["option", "environment"])
    def test_debugging_shows_the_traceback(self, photos: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
        if way == "environment":
            monkeypatch.setenv("VIZLIB_DEBUG", "1")
        words = ("--debug",) if way == "option" else ()
        assert isinstance(run("explain", photos / "a.jpg", "--target", "tabbi", *words).exception, TargetError)

    def test_ctrl_c_is_130(self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(vizlib, "load", stop, raising=False)
        result = run("explain", photos / "a.jpg", "--out", tmp_path / "out")
        assert result.exit_code == 130
        assert "Traceback" not in result.output


class TestPhotos:
    def test_words_become_files_once_and_in_order(self, photos: Path) -> None:
        (photos / "deep").mkdir()
        for name in ("deep/c.JPG", "odd[1].png", "notes.txt", ".hidden.png"):
            shutil.copy(photos / "b.png", photos / name)
        files, missing = expand_paths([str(photos)])
        assert [path.name for path in files] == ["a.jpg", "b.png", "odd[1].png"]
        assert not missing
        files, _ = expand_paths([str(photos / "**" / "*"), str(photos / "odd[1].png")])
        assert sorted(path.name for path in files) == ["a.jpg", "b.png", "c.JPG", "odd[1].png"]
        assert expand_paths([str(photos / "notes.txt")])[0] == [photos / "notes.txt"]
        assert expand_paths(["~/surely-not-there.png"])[0] == [Path.home() / "surely-not-there.png"]

    def test_batches_hold_no_more_than_asked(self, photos: Path) -> None:
        batches = list(in_batches([photos / "a.jpg"] * (BATCH + 2), BATCH, pytest.fail))
        assert [len(batch) for batch in batches] == [BATCH, 2]

    def test_places_never_collide_nor_overwrite_what_is_not_an_explanation(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        (tmp_path / "cat" / "diary.txt").write_text("mine", encoding="utf-8")
        (tmp_path / "dog").mkdir()
        (tmp_path / "dog" / "explanation.json").write_text("{}", encoding="utf-8")
        places = OutputFolders(tmp_path)
        names = [places.of(Path(name)).name for name in ("cat.jpg", "dog.jpg", "dog.png", "DOG.webp", "new.jpg")]
        assert names == ["cat-2", "dog", "dog-2", "DOG-3", "new"]


class TestReplay:
    @pytest.fixture
    def saved(self, photos: Path, tmp_path: Path) -> Path:
        assert run("explain", photos / "a.jpg", "--out", tmp_path, "--target", "tabby", "--target", "lion", "--fit", "pad").exit_code == 0
        return tmp_path / "a"

    def test_identical(self, saved: Path, tmp_path: Path) -> None:
        result = run("replay", saved, "--out", tmp_path / "again")
        assert result.exit_code == 0
        assert "identical" in result.stdout
        assert {path.name for path in (tmp_path / "again").iterdir()} == FILES
        assert read("replay", tmp_path / "again")["identical"] is True

    def test_of_several_photos_each_is_identical(self, photos: Path, tmp_path: Path) -> None:
        rows = read("explain", photos, "--out", tmp_path / "out")
        assert [run("replay", row["folder"]).exit_code for row in rows] == [0, 0]

    def test_it_differs(self, saved: Path) -> None:
        with np.load(saved / "map.npz") as arrays:
            changed = dict(arrays)
        changed["input_map"][3, 4] += 1e-9
        np.savez_compressed(saved / "map.npz", **changed)
        result = run("replay", saved)
        assert result.exit_code == 1
        assert "differs: by 1e-09" in result.stdout
        np.savez_compressed(saved / "map.npz", input_map=np.zeros((2, 2)))
        assert "(2, 2)" in run("replay", saved).stdout

    @pytest.mark.parametrize("fault", ["no folder", "no map", "cut map", "cut manifest", "odd manifest", "no weights"])
    def test_it_cannot(self, saved: Path, fault: str) -> None:
        manifest = saved / "explanation.json"
        if fault == "no folder":
            shutil.rmtree(saved)
        elif fault == "no map":
            (saved / "map.npz").unlink()
        elif fault == "cut map":
            (saved / "map.npz").write_bytes((saved / "map.npz").read_bytes()[:100])
        elif fault == "cut manifest":
            manifest.write_text(manifest.read_text(encoding="utf-8")[:50], encoding="utf-8")
        elif fault == "odd manifest":
            manifest.write_text('{"format": 1, "replayable": true}', encoding="utf-8")
        else:
            facts = json.loads(manifest.read_text(encoding="utf-8"))
            facts["recipe"]["checkpoint"] = str(saved / "gone.safetensors")
            manifest.write_text(json.dumps(facts), encoding="utf-8")
        assert_one_error(run("replay", saved), 2, "")


class TestTraining:
    @pytest.fixture
    def data(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        plan = Recipe(epochs=2, batch=4, rate=1e-3, muon=True, operations=0, mix=0.0)
        for name in RECIPES:
            monkeypatch.setitem(recipes.RECIPES, name, plan)
        monkeypatch.chdir(tmp_path)
        return folder_layout(tmp_path / "data")

    def test_train_ship_and_evaluate(self, data: Path, tmp_path: Path) -> None:
        result = run("train", "resnet_tiny50", "--data", data, "--threads", 1, "--ship", tmp_path / "weights")
        assert result.exit_code == 0, result.output
        assert "epoch   2/2" in result.stderr
        assert "95\u00a0% interval" in result.stdout
        assert {path.name for path in (tmp_path / "runs" / "resnet_tiny50").iterdir()} == {"last.pt", "history.json"}
        card = json.loads((tmp_path / "weights" / "resnet_tiny50.json").read_text(encoding="utf-8"))
        assert card["training"]["command"] == "vizlib train resnet_tiny50 --data DIR --threads 1"
        assert card["training"]["images"] == 12
        again = run("train", "resnet_tiny50", "--data", data, "--ship", tmp_path / "weights")
        assert "going on" in again.stderr
        assert "epoch " not in again.stderr.replace("epochs", "").replace("last epoch", "")
        accuracy = read("eval", "resnet_tiny50", "--data", data, "--checkpoint", tmp_path / "weights" / "resnet_tiny50.safetensors")
        assert accuracy["top1"]["share"] == card["accuracy"]["top1"]
        assert accuracy["top1"]["low"] <= accuracy["top1"]["share"] <= accuracy["top1"]["high"]
        assert accuracy["top5"] is None

    def test_all_of_them(self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        runs: list[tuple[str, Path]] = []

        def fake(name: str, images: object, val: object, folder: Path, **_: object) -> tuple[None, list[dict[str, float]]]:
            runs.append((name, folder))
            return None, [{"top1": 0.5, "top5": 1.0}]

        monkeypatch.setattr("vizlib.train.api.train_on", fake)
        assert run("train", "all", "--data", data).exit_code == 0
        assert runs == [(name, Path("runs") / name) for name in RECIPES]
        runs.clear()
        assert run("train", "all", "--data", data, "--out", tmp_path / "x", "--epochs", 7).exit_code == 0
        assert runs == [(name, tmp_path / "x" / f"{name}-7-epochs") for name in RECIPES]

    def test_stopping_says_how_to_go_on(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("vizlib.train.api.train_on", stop)
        result = run("train", "vit_tiny50", "--data", data)
        assert result.exit_code == 130
        assert "the same command goes on" in result.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("vit_tiny5", "--data", "data"), "Did you mean 'vit_tiny50'"),
            (("vit_tiny50",), "--data"),
            (("vit_tiny50", "--data", "nowhere"), "nowhere"),
            (("vit_tiny50", "--data", "data", "--epochs", "5", "--ship", "weights"), "not the recipe"),
            (("vit_tiny50", "--data", "data", "--device", "toaster"), "not a device"),
            (("vit_tiny50", "--data", "data", "--threads", "0"), "--threads"),
        ],
    )
    def test_misuse(self, data: Path, words: tuple[str, ...], said: str) -> None:
        assert_one_error(run("train", *words), 2, said)
        assert not Path("runs").exists()

    def test_eval_of_folders_by_name(self, tmp_path: Path) -> None:
        for label, name in enumerate(("tabby", "golden_retriever")):
            (tmp_path / "val" / name).mkdir(parents=True)
            (tmp_path / "val" / name / "1.jpg").write_bytes(jpeg(label, 0, side=80))
        result = run("eval", "vit_tiny50", "--data", tmp_path)
        assert result.exit_code == 0
        assert "2 photographs of 2 classes, matched by name" in result.stdout
        assert "top-5" in result.stdout
        (tmp_path / "val" / "tabby" / "2.jpg").write_bytes(b"no image")
        bad = run("eval", "vit_tiny50", "--data", tmp_path)
        assert bad.exit_code == 1
        assert "2.jpg" in bad.stderr
        assert "2 photographs" in bad.stdout

    def test_eval_misuse(self, tmp_path: Path) -> None:
        assert_one_error(run("eval", "vit_tiny50", "--data", tmp_path / "nowhere"), 2, "nowhere")
        assert_one_error(run("eval", "vit_tiny50", "--data", tmp_path), 2, "no validation photographs")
        folder_layout(tmp_path, names=NAMES)
        assert_one_error(run("eval", "vit_tiny50", "--data", tmp_path), 2, "cannot be matched")
        assert_one_error(run("eval", "vit_tiny5", "--data", tmp_path), 2, "Did you mean")


class TestProcess:
    def test_as_a_module(self, tmp_path: Path) -> None:
        process = in_process("explain", str(tmp_path / "gone.jpg"), env={**os.environ, "COLUMNS": "40"})
        assert process.returncode == 1
        assert (
            process.stderr
            == f"error: {tmp_path / 'gone.jpg'}: There is no file {str(tmp_path / 'gone.jpg')!r}: check the name and the folder.\n"
        )
        assert process.stdout == ""

    def test_a_broken_pipe_is_quiet(self) -> None:
        writer = subprocess.Popen(
            [sys.executable, "-m", "vizlib", "models", "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert b"Traceback" not in writer.stderr.read()
        writer.stderr.close()
        writer.wait(timeout=300)

    def test_an_interrupt_from_outside(self, tmp_path: Path) -> None:
        pipe = tmp_path / "classes.json"
        os.mkfifo(pipe)  # opened for reading, it holds the command until somebody writes
        command = [sys.executable, "-m", "vizlib", "explain", str(ROOT / "pyproject.toml"), "--labels", str(pipe)]
        waiting = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        with pipe.open("w", encoding="utf-8"):  # returns when the command has got there
            time.sleep(0.2)
            for _ in range(10):  # a busy machine may not have begun to read yet
                waiting.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    waiting.wait(timeout=30)
                    break
        _, errors = waiting.communicate(timeout=30)
        assert waiting.returncode == 130
        assert "Traceback" not in errors


BUNDLED = [card.name for card in vizlib.models() if card.training]


@pytest.mark.parametrize("name", BUNDLED)
def test_recipes_are_what_the_shipped_weights_were_trained_by(name: str) -> None:
    training = next(card.training for card in vizlib.models() if card.name == name)
    assert training is not None
    if "--recipe card-alone" in training["training"]["command"]:
        assert CardRecipe(**training["training"]["recipe"]) == recipe(name, "card-alone")
    else:
        assert Recipe(**training["training"]["recipe"]) == RECIPES[name]
