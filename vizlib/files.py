"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
