"""--labels, --num-classes and --image-size, which every command takes that loads a model, and the classes of a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file
from timm.data import ImageNetInfo
from tiny_data import NAMES, folder_layout, jpeg
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app
from vizlib.model_report.accuracy import match_classes, wordnet_ids

if TYPE_CHECKING:
    from pathlib import Path

SYNSETS = ImageNetInfo().label_names()


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def model_options(tmp_path: Path) -> list[object]:
    (tmp_path / "labels.txt").write_text("ant\nbee\n", encoding="utf-8")
    return ["--labels", tmp_path / "labels.txt", "--num-classes", 2, "--image-size", "32x48"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(jpeg(number % 2, 1000 + number))
    return tmp_path / "pictures"


def test_each_command_gives_them_to_the_model(tmp_path: Path, pictures: Path, model_options: list[object], monkeypatch) -> None:
    loaded: list[vizlib.Model] = []
    load = vizlib.load

    def noted(*words: object, **options: Any) -> vizlib.Model:
        loaded.append(load(*words, **options))
        return loaded[-1]

    monkeypatch.setattr(vizlib, "load", noted)
    home = folder_layout(tmp_path / "public")
    model = "vit_tiny50"
    commands: list[list[object]] = [
        ["explain", pictures / "0.jpg", "--model", model, "--checkpoint", "random", "--out", tmp_path / "maps"],
        ["eval", model, "--checkpoint", "random", "--data", home],
        ["exam", f"{model}=random", "--images", pictures, "--exams", "planted", "--methods", "rollout", "--questions", 1],
        ["compare", f"{model}=random", f"{model}=random", "--images", pictures, "--out", tmp_path / "r.html", "--shown", 0, "--points", 2],
    ]
    for command in commands:
        loaded.clear()
        result = run(*command, *model_options)
        assert loaded, result.output
        for each in loaded:
            assert (each.labels, each.num_classes, each.card.input_size) == (("ant", "bee"), 2, (32, 48))


def test_probabilities_of_classes_that_do_not_exclude_each_other(tmp_path: Path, pictures: Path) -> None:
    words = ["explain", pictures / "0.jpg", "--checkpoint", "random", "--num-classes", 3, "--out", tmp_path / "maps", "--json", "--top", 3]
    result = run(*words, "--activation", "sigmoid")
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3)
    expected = sorted(model(model.prepare(pictures / "0.jpg"))[0].sigmoid().tolist(), reverse=True)
    assert [prediction["probability"] for prediction in row["predictions"]] == pytest.approx(expected, abs=1e-6)
    assert "softmax, sigmoid" in run(*words, "--activation", "tanh").stderr


@pytest.mark.parametrize("command", ["explain", "eval", "exam", "compare"])
@pytest.mark.parametrize(
    ("words", "complaint"),
    [(("--image-size", "64by64"), "--image-size takes"), (("--labels", "gone.txt"), "gone.txt"), (("--num-classes", "-1"), "num-classes")],
)
def test_what_is_none_is_refused_in_one_line(command: str, words: tuple[str, str], complaint: str, pictures: Path) -> None:
    command_words = {
        "explain": ["explain", pictures],
        "eval": ["eval", "vit_tiny50", "--data", pictures],
        "exam": ["exam", "vit_tiny50", "--images", pictures],
        "compare": ["compare", "vit_tiny50", "resnet_tiny50", "--images", pictures],
    }[command]
    result = run(*command_words, *words)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stderr.count("error:") == 1


def test_an_imagenet_folder_is_matched_for_any_model_of_a_thousand_classes(tmp_path: Path) -> None:
    model = vizlib.load("tf_efficientnet_lite0", checkpoint="random")
    save_file({key: value.contiguous() for key, value in model.module.state_dict().items()}, tmp_path / "weights.safetensors")
    for number in (999, 0, 281):
        (tmp_path / "val" / SYNSETS[number]).mkdir(parents=True)
        (tmp_path / "val" / SYNSETS[number] / "one.jpg").write_bytes(jpeg(number % 2, number))
    result = run(
        "eval", "tf_efficientnet_lite0", "--checkpoint", tmp_path / "weights.safetensors", "--data", tmp_path, "--image-size", 64, "--json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["images"], report["matched"], report["classes"]) == (3, "WordNet id", 3)


def test_the_classes_of_a_folder_are_the_models(tmp_path: Path) -> None:
    def model(**given: Any) -> vizlib.Model:
        return vizlib.load("resnet10t", checkpoint="random", **given)

    folder = [(SYNSETS[number], SYNSETS[number]) for number in (7, 3, 999)]
    short = [description.split(",")[0] for description in ImageNetInfo().label_descriptions()]
    for labels in (None, short, [name.lower().replace(" ", "_") for name in short]):
        assert match_classes(model(labels=labels), folder) == ([7, 3, 999], "WordNet id")
    turned = SYNSETS[::-1]
    assert match_classes(model(labels=turned), folder) == ([992, 996, 0], "name")
    others = model(labels=[f"kind {number}" for number in range(1000)])
    assert wordnet_ids(others) is None
    assert wordnet_ids(model(num_classes=999)) is None
    assert match_classes(vizlib.load("vit_tiny50", checkpoint="random", labels=NAMES, num_classes=2), [(name, name) for name in NAMES])[
        1
    ] == ("name")
