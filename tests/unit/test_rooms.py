"""What import-linter does not hold: how large a folder may be, and what may be imported before anything is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vizlib"
_HEAVY = "torch timm torchvision captum cv2 skimage pandas scipy"


def _modules(folder: Path) -> list[str]:
    files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    return files + [path.name for path in folder.iterdir() if (path / "__init__.py").is_file()]


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    folders = [PACKAGE, *(path.parent for path in PACKAGE.rglob("*/__init__.py"))]
    lengths = {str(folder.relative_to(ROOT)): len(_modules(folder)) for folder in folders}
    del lengths["vizlib/ui/components"]  # one folder for each component: a list, not a room
    assert len(lengths) > 60
    assert {folder: length for folder, length in lengths.items() if length > 26} == {}


@pytest.mark.parametrize(
    "room", ["vizlib", "vizlib.catalog.methods", "vizlib.zoo.cards", "vizlib.cli", "vizlib.seq2seq", "vizlib.stats", "vizlib.claims"]
)
def test_cards_are_read_without_heavy_imports(room: str) -> None:
    script = f"import sys, {room}; print(*({{*'{_HEAVY}'.split()}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == []


def test_pages_import_nothing_heavy() -> None:
    imports = [
        ast.unparse(node)
        for page in (ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py")))
        for node in ast.parse(page.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(imports) > 30
    script = "\n".join([*imports, f"import sys\nprint(*({{*'{_HEAVY}'.split()}} & set(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
