"""The site has every page and every public name, and what is written down of cards, weights and the version is what they are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import FunctionType

import pytest

import vizlib
from vizlib.catalog import method_table
from vizlib.errors import VizlibError
from vizlib.model_report.weight_hashes import SUMS, hashes

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
ERRORS = [name for name, value in vars(vizlib).items() if isinstance(value, type) and issubclass(value, VizlibError)]
PUBLIC = [name for name in vizlib.__all__ if name not in ERRORS]


def _files(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    children = entry.values() if isinstance(entry, dict) else entry
    return [file for child in children for file in _files(child)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_site() -> None:
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(_files(settings["project"]["nav"])) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    sections = dict(re.findall(r"::: [\w.]+\n    options:\n      heading: vizlib\.(\w+)\n(.*?)(?=\n::: |\Z)", REFERENCE, re.DOTALL))
    assert name in sections
    value = getattr(vizlib, name)
    home = re.search(rf"::: ([\w.]+)\.{name}\n    options:\n      heading: vizlib\.{name}\n", REFERENCE)
    assert home is not None
    assert home[1] == value.__module__
    if isinstance(value, FunctionType):
        assert f"vizlib.{name}(" in sections[name], "every function has an example"


def test_the_page_of_methods_is_that_of_the_cards() -> None:
    written = method_table.DOCUMENT
    assert (ROOT / written).read_text(encoding="utf-8") == method_table.as_markdown(), "python -m vizlib.catalog.method_table writes it"


def test_the_sums_of_the_weights_are_theirs() -> None:
    folder = ROOT / "assets" / "weights"
    assert (folder / SUMS).read_text(encoding="ascii") == hashes(folder), "python -m vizlib.model_report.weight_hashes writes them"


def test_the_version_stands_in_one_place() -> None:
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1] == vizlib.__version__  # type: ignore[index]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "vizlib/__init__.py"


def test_blocks_of_code_stand_apart() -> None:
    """What follows a block without an empty line between is no paragraph to the site, and has none of its form."""
    close = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        lines = page.read_text(encoding="utf-8").splitlines()
        fences = [number for number, line in enumerate(lines) if line.startswith("```")]
        beside = [number - 1 for number in fences[::2]] + [number + 1 for number in fences[1::2]]
        close += [f"{page.name}:{number + 1}" for number in beside if 0 <= number < len(lines) and lines[number].strip()]
    assert not close
