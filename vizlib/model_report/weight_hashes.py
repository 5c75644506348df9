"""The SHA-256 of every file of weights that is shipped: ``python -m vizlib.model_report.weight_hashes`` writes them down."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vizlib.files.product import product_root

if TYPE_CHECKING:
    from pathlib import Path

SUMS = "SHA256SUMS"


def hashes(folder: Path) -> str:
    """A line for each .safetensors file under a folder, as `sha256sum -c` reads them in that folder."""
    files = sorted(folder.rglob("*.safetensors"))
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files)


if __name__ == "__main__":
    home = product_root() / "assets" / "weights"
    (home / SUMS).write_text(hashes(home), encoding="ascii")
