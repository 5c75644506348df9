"""What the README and the docs say is true: their Python runs, its commands work, its numbers are the cards'."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


PYTHON = [
    (path.name, number, code)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, code in enumerate(blocks("python", path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("name", "number", "code"), PYTHON, ids=[f"{name} {number}" for name, number, _ in PYTHON])
def test_the_python_runs(name: str, number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{name}, block {number}", "exec"), {"__name__": "documented"})  # noqa: S102


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/command_line.md"])
def test_the_commands_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "best.pth" in (ROOT / name).read_text(encoding="utf-8"):  # what the page's Python leaves
        for code in blocks("python", (ROOT / name).read_text(encoding="utf-8")):
            exec(compile(code, name, "exec"), {"__name__": "documented"})  # noqa: S102
    Image.fromarray(data.cat()).save("cat.jpg")
    (tmp_path / "photos").mkdir()
    Image.fromarray(data.coffee()).save("photos/coffee.jpg")
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for block in blocks("sh", text) for line in block.splitlines() if line.startswith("vizlib ")]
    assert len(lines) > 3
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_the_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake (app|test|check|clean)\b", TEXT)) <= targets


def test_the_table_of_models_is_that_of_the_cards() -> None:
    rows = ["| model | architecture | parameters | top-1 | top-5 | images |", "|---|---|---|---|---|---|"]
    for card in vizlib.models():
        if card.source == "bundled":
            accuracy = card.accuracy
            assert accuracy is not None
            top5 = f"{accuracy.top5:.1%}" if accuracy.top5 is not None else ""
            size = f"{card.parameters / 1e6:.1f} M"
            rows.append(f"| `{card.name}` | {card.title} | {size} | {accuracy.top1:.1%} | {top5} | {accuracy.images:,} |")
    expected = "\n".join(rows)
    page = (ROOT / "docs" / "bundled_models.md").read_text(encoding="utf-8")
    written = re.search(r"<!-- models: begin -->\n(.*?)\n?<!-- models: end -->", page, re.DOTALL)
    assert written is not None
    assert written[1] == expected, f"Between the markers of docs/bundled_models.md put:\n{expected}"


def test_what_the_layout_names_is_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The rooms, bottom to top")[1].split("##")[0]
    names = re.findall(r"`(vizlib/[\w./]+|app\.py|pages/|tests/)`", table)
    assert len(names) > 20
    for name in names:
        assert (ROOT / name).exists(), name
