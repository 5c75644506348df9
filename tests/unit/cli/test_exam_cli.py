"""``vizlib exam`` as it is typed."""

from __future__ import annotations

import json

import exam_cases as cases
import pytest
from PIL import Image
from tiny_data import folder_layout
from typer.testing import CliRunner

from vizlib.catalog.methods import METHODS
from vizlib.cli import app

run = CliRunner().invoke


def test_the_known_models_need_no_other(tmp_path) -> None:
    page, table = tmp_path / "out" / "exam.html", tmp_path / "exam.md"
    words = ["exam", "--exams", "known", "--methods", "input_x_gradient,relevance", "--questions", "4", "--json"]
    result = run(app, [*words, "--out", str(tmp_path / "out"), "--markdown", str(table)])
    assert result.exit_code == 0, result.output
    marks = json.loads(result.stdout)
    assert len(marks) == 12
    by_place = {(mark["method"], mark["model"]): mark for mark in marks}
    assert by_place["input_x_gradient", "tiles_sum"]["value"] == pytest.approx(1, abs=1e-6)
    assert by_place["input_x_gradient", "tiles_sum"]["passed"]
    assert by_place["relevance", "tiles_sum"]["refused"]
    assert page.is_file()
    assert {path.name for path in page.parent.iterdir()} == {"exam.html", "exam.json", "exam.csv"}
    assert "| Input x gradient |" in table.read_text(encoding="utf-8")
    again = run(app, [*words])
    assert [mark | {"seconds": 0} for mark in json.loads(again.stdout)] == [mark | {"seconds": 0} for mark in marks]


def test_an_exam_that_cannot_be_held_is_said_and_fails(tmp_path) -> None:
    for number in range(3):
        Image.fromarray(cases.photograph(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not a photograph", encoding="utf-8")
    result = run(app, ["exam", "vit_tiny50=random", "--images", str(tmp_path), "--exams", "grid", "--methods", "rollout"])
    assert result.exit_code == 1
    assert "error: grid, vit_tiny50: A collage needs 4 photographs" in result.stderr
    assert "no mark" in result.stdout


def test_a_training_folder_gives_photographs_and_boxes(tmp_path) -> None:
    home = folder_layout(tmp_path / "data")
    result = run(app, ["exam", "vit_tiny50=random", "--data", str(home), "--exams", "boxes", "--methods", "rollout"])
    assert result.exit_code == 1
    assert "has no class" in result.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--exams", "known,gird"], "Did you mean 'grid'"),
        (["--methods", "salience"], "There is no method 'salience'"),
        (["--methods", "saliency", "--all"], "not both"),
        (["--images", "nowhere"], "There is no folder 'nowhere'"),
        (["--images", ".", "--data", "."], "not both"),
        (["--exams", ","], "names nothing"),
        (["--exams", "boxes"], "made of photographs with boxes"),
        (["no_such_model", "--exams", "planted"], "no_such_model"),
    ],
)
def test_what_there_is_not(words: list[str], reason: str) -> None:
    result = run(app, ["exam", *words])
    assert result.exit_code == 2, result.output
    assert reason in result.stderr


def test_every_method_is_a_switch_away(monkeypatch: pytest.MonkeyPatch) -> None:
    methods_asked: list[list[str] | None] = []

    class Stop(Exception):  # noqa: N818  it is none
        pass

    def run_exams(models, methods, *arguments, **options):
        methods_asked.append(methods)
        raise Stop

    monkeypatch.setattr("vizlib.evaluation.exams.run_exams", run_exams)
    for words in (["--all"], []):
        run(app, ["exam", "--exams", "known", *words])
    assert methods_asked == [list(METHODS), None]
