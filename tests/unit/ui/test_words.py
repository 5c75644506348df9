"""One word for what a visitor looks at: a picture. Data sets hold photographs, and Python and the command line take images."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
READ = [
    *sorted((ROOT / "vizlib/ui").rglob("*.py")),
    *sorted((ROOT / "pages").glob("*.py")),
    *(ROOT / "vizlib/compare" / name for name in ("text.py", "findings.py", "pictures.py")),
    ROOT / "vizlib/evaluation/badge.py",
]
# The data that models were trained and measured on.
DATA_SET = re.compile(r"of \d[\d,]* classes|never saw|validation|training|of each class|of \{|^photographs\b|these photographs|of the set|"
                      r"Not trained on|a column an answer")  # fmt: skip
# Names of files, of arguments, of papers, and reshaping in the papers' own words.
CODE = re.compile(
    r"vizlib\.|model\.|--images|\w+\(|image[/_]|images? =|`photos`|Worth 16x16|to an image, unfolds|, images?$|image, fit=|scikit-image|"
    r"\{name: image\}"
)


def sentences(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, described) and isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from (line for line in node.value.split("\n") if " " in line.strip())


@pytest.mark.parametrize("path", READ, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_visitor_reads_of_pictures(path):
    models_page = "pages/models" in path.as_posix()  # it is about a data set
    for text in sentences(path):
        if not CODE.search(text):
            assert not re.search(r"\bimages?\b", text, re.IGNORECASE), text
        if not (models_page or CODE.search(text) or DATA_SET.search(text.strip())):
            assert not re.search(r"\bphoto(graph)?s?\b", text, re.IGNORECASE), text
