"""What an audit is: its pictures in chunks, its models and methods, and the manifest by which it is taken up again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.errors import AuditError, VizlibError
from vizlib.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.auditing.pictures import AuditPicture

CHUNK, SCORED_CHUNK = 64, 8  # pictures of one part; of one whose maps are scored, since that takes hundreds of passes
MANIFEST = "manifest.json"
FORMAT = 3


@dataclass(frozen=True)
class MethodPlan:
    """A method with all its options; ``name`` is what its rows are called, unique in its audit."""

    name: str
    method: str
    options: dict[str, Any]


@dataclass(frozen=True)
class ModelPlan:
    """A model as rows call it, the SHA-256 of its weights, and its class for each class of the data set, None where it has none.

    ``no_lens`` says why the answers after its blocks are not read, where they were asked for.
    """

    name: str
    weights: str
    classes: tuple[int | None, ...]
    matched: str
    no_lens: str = ""


@dataclass(frozen=True)
class ChunkPlan:
    """What one order does: the ``pictures`` from number ``first`` on, by one model, by every method."""

    model: ModelPlan
    model_number: int
    number: int
    first: int
    pictures: tuple[AuditPicture, ...]
    methods: tuple[MethodPlan, ...]
    target: str  # "prediction", "label", or a class
    fit: str | None
    heads: bool
    features: bool
    lens: bool
    scores: tuple[str, ...]

    @property
    def stem(self) -> str:
        """What its files are called."""
        return f"part-{self.model_number:02d}-{self.number:06d}"


def write_part(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; VizlibError where it cannot be written."""
    try:
        replace_file(path, content)
    except OSError as error:
        why = error.strerror or error
        raise VizlibError(f"{path} cannot be written: {why}. What is there stays; the same audit goes on from it.") from error


def begin(folder: Path, facts: dict[str, Any]) -> None:
    """Take the folder for the audit that ``facts`` describe, or go on with it there; AuditError where it holds another.

    What a killed run left half written is taken away.
    """
    text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if not (folder / MANIFEST).is_file():
        if folder.is_dir() and any(entry.suffix != ".part" for entry in folder.iterdir()):
            raise AuditError(f"{folder} holds other files; name an empty folder, or a new one.")
        write_part(folder / MANIFEST, text.encode())
        return
    before, now = read_manifest(folder), json.loads(text)
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if differing:
        raise AuditError(f"{folder} holds an audit of other {', '.join(differing)}; name another folder, or give the same again.")
    for rest in (*folder.glob("*.part"), *folder.glob("*/*.part")):
        rest.unlink(missing_ok=True)


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
