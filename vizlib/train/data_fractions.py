"""Runs on a share of the photographs: how they are named, what is noted beside them and how they are read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import TrainingError

if TYPE_CHECKING:
    from vizlib.datasets.tiny_imagenet import ImageSet

SHARES = (0.1, 0.25, 0.5)
NOTE = "run.json"


@dataclass(frozen=True)
class FractionRun:
    """A run of the model ``name`` on ``share`` of the training photographs, which are ``images``, for ``epochs``."""

    name: str
    share: float
    images: int
    epochs: int


def check_share(share: float) -> float:
    """The share; TrainingError for one that the report has no place for."""
    if share not in SHARES:
        raise TrainingError(f"A share of the photographs is one of {', '.join(map(str, SHARES))}, not {share}.")
    return share


def folder_name(name: str, share: float) -> str:
    """The name of the folder of a run of ``name`` on a share, in per cent: vit_tiny50-share-25."""
    return f"{name}-share-{round(100 * share)}"


def take_share(data: ImageSet, name: str, share: float, epochs: int, folder: Path) -> ImageSet:
    """The same share of every class, with a note in the run's folder of what it is; TrainingError when that cannot be written."""
    part = data.fraction(check_share(share))
    note = FractionRun(name, share, len(part), epochs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NOTE).write_text(json.dumps(asdict(note)) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"The run cannot be written to {folder}: {error.strerror or error}.") from error
    return part


def read_fraction_runs(runs: str | Path) -> list[tuple[FractionRun, list[dict[str, Any]]]]:
    """The runs on a share below a folder with their histories, by name and share; those without a whole epoch are left out.

    TrainingError for a note or a history that cannot be read.
    """
    sweeps = []
    for note in sorted(Path(runs).glob(f"*/{NOTE}")):
        history = note.with_name("history.json")
        try:
            epochs = json.loads(history.read_text(encoding="utf-8")) if history.is_file() else []
            if epochs:
                sweeps.append((FractionRun(**json.loads(note.read_text(encoding="utf-8"))), epochs))
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"The run in {note.parent} cannot be read: {error}.") from error
    return sorted(sweeps, key=lambda sweep: (sweep[0].name, sweep[0].share))
