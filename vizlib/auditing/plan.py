"""What an audit is: its pictures in chunks, its models and methods, and the manifest by which it is taken up again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.auditing.pictures import AuditPicture

CHUNK = 64  # pictures of one part
MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class MethodPlan:
    """A method with all its options; ``name`` is what its rows are called, unique in its audit."""

    name: str
    method: str
    options: dict[str, Any]


@dataclass(frozen=True)
class ModelPlan:
    """A model as rows call it, the SHA-256 of its weights, and its class for each class of the data set, None where it has none."""

    name: str
    weights: str
    classes: tuple[int | None, ...]
    matched: str


@dataclass(frozen=True)
class ChunkPlan:
    """What one order does: some pictures, by one model, by every method."""

    model: ModelPlan
    model_number: int
    chunk: int
    first: int  # the number of its first picture
    pictures: tuple[AuditPicture, ...]
    methods: tuple[MethodPlan, ...]
    target: str  # "prediction", "label", or a class
    fit: str | None
    heads: bool

    @property
    def stem(self) -> str:
        """What its files are called."""
        return f"part-{self.model_number:02d}-{self.chunk:06d}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; VizlibError where it cannot be written, and nothing of it is left."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise AuditError(
            f"{path} cannot be written: {error.strerror or error}. What is there stays; the same audit goes on from it."
        ) from error


def begin(folder: Path, facts: dict[str, Any]) -> None:
    """Take the folder for the audit that ``facts`` describe, or go on with it there; AuditError where it holds another."""
    path = folder / MANIFEST
    text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if not path.is_file():
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise AuditError(f"{folder} holds other files; name an empty folder, or a new one.")
        write_atomically(path, text.encode())
        return
    before = read_manifest(folder)
    differing = sorted(key for key in before.keys() | facts.keys() if before.get(key) != json.loads(text).get(key))
    if differing:
        raise AuditError(f"{folder} holds an audit of other {', '.join(differing)}; name another folder, or give the same again.")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an audit; AuditError where there is none."""
    path = folder / MANIFEST
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditError(f"{folder} holds no audit: {path.name} cannot be read ({str(error)[:120]}).") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise AuditError(f"{folder} holds no audit that this version reads.")
    return facts
