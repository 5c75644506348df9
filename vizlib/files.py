"""Files that are written whole or not at all, and cells that a spreadsheet does not run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    import os


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file, UTF-8 with \\n ends, whole or not at all; its path. VizlibError where it cannot be written."""
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(target)
    except OSError as error:
        raise VizlibError(f"The report cannot be written to {target}: {error.strerror or error}.") from error
    return target


def harmless_cell(value: Any) -> Any:
    """A cell of a CSV file as it is; a text that a spreadsheet would take for a formula, behind an apostrophe."""
    formula = isinstance(value, str) and len(value) > 1 and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value
