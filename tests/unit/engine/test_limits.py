"""The operators' page lists the limits as the code has them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from vizlib.engine import limits as module
from vizlib.engine.limits import Limits, limits

ROOT = Path(__file__).parents[3]


def limits_table() -> list[str]:
    """A row for each limit: its variable, its default, and what it bounds, from the comment beside it."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    meanings = dict(re.findall(r"^    (\w+): int = [\d_]+  # (.+)$", source, re.MULTILINE))
    return [f"| `VIZLIB_LIMIT_{field.name.upper()}` | {field.default:,} | {meanings[field.name]} |" for field in fields(Limits)]


def test_the_operators_page_has_every_limit() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `VIZLIB_LIMIT_")] == limits_table()


def test_every_variable_on_the_page_is_read_somewhere() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "vizlib").rglob("*.py"))
    for name in set(re.findall(r"VIZLIB_(?!LIMIT_)[A-Z_]+", page)):
        assert name in source, name


def test_the_limits_are_read_once() -> None:
    assert limits() is limits()
