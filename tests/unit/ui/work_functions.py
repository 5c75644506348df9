"""Every function that a page hands over as work, found in the source of the pages."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

UI = Path(__file__).parents[3] / "vizlib" / "ui"
_HANDS_OVER = {("computations", "compute"), ("computations", "compute_or_status"), ("translator_service", "result_or_status")}


def handed_over() -> dict[str, Any]:
    """By place in the source the function that is handed over; AssertionError for work that is no partial of a function of a module."""
    return dict(found for path in sorted(UI.rglob("*.py")) for found in _in_module(path, ast.parse(path.read_text(encoding="utf-8"))))


def _in_module(path: Path, tree: ast.Module) -> Iterator[tuple[str, Any]]:
    module = ".".join(path.relative_to(UI.parents[1]).with_suffix("").parts)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        works = {
            node.targets[0].id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call) and _name(node.func) in _HANDS_OVER):
            where, work = f"{path}:{call.lineno}", call.args[3]
            work = works.get(work.id, work) if isinstance(work, ast.Name) else work
            assert isinstance(work, ast.Call), f"{where}: the work is no partial"
            assert isinstance(work.func, ast.Name), f"{where}: the work is no partial"
            assert work.func.id == "partial", f"{where}: the work is no partial"
            yield where, _resolved(module, work.args[0], where)


def _resolved(module: str, name: ast.expr, where: str) -> Any:
    value: Any = import_module(module)
    for part in ast.unparse(name).split("."):
        value = getattr(value, part)
    assert getattr(import_module(value.__module__), value.__qualname__, None) is value, f"{where}: {value} is no function of a module"
    return value


def _name(function: ast.expr) -> tuple[str, str] | None:
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.value.id, function.attr
    return None
