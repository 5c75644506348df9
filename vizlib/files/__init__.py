"""Files that are written whole or not at all, and cells that a spreadsheet does not run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vizlib.errors import VizlibError


def replace_file(path: Path, content: bytes) -> None:
    """Write a file, its folder too where it is missing, whole or not at all; an OSError leaves what was there."""
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a machine that stops could leave the new name on an empty file
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file, UTF-8 with \\n ends, whole or not at all; its path. VizlibError where it cannot be written."""
    target = Path(path)
    try:
        replace_file(target, text.encode())
    except OSError as error:
        raise VizlibError(f"The report cannot be written to {target}: {error.strerror or error}.") from error
    return target


def harmless_cell(value: Any) -> Any:
    """A cell of a CSV file as it is; a text that a spreadsheet would take for a formula, behind an apostrophe."""
    formula = isinstance(value, str) and len(value) > 1 and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value
