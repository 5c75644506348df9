"""Linear heads that `vizlib train head` trained for models without classes, as they are shipped beside the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.files.product import product_root
from vizlib.zoo.sources.places import ShippedFile

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ShippedHead:
    """A head's file, which is checked against the hash of its report whenever it is read, and that report."""

    path: Path
    facts: dict[str, Any]

    @property
    def file(self) -> ShippedFile:
        """Where its ``head.weight`` (C, D) and ``head.bias`` (C,) are."""
        return ShippedFile(self.path, self.facts["sha256"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes."""
        return tuple(self.facts["labels"])


def folder() -> Path:
    """Where shipped heads lie."""
    return product_root() / "assets" / "weights" / "heads"


def shipped_head(name: str) -> ShippedHead | None:
    """The head of a model by its name, None where none is shipped."""
    report = folder() / f"{name}.json"
    if not report.is_file():
        return None
    return ShippedHead(report.with_suffix(".safetensors"), json.loads(report.read_text(encoding="utf-8")))
