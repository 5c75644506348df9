"""Looks as files: a folder for each step, readable while the training runs."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import TrainingError
from vizlib.files import replace_file

if TYPE_CHECKING:
    import os

    from vizlib.callbacks.look import Look

LOOK = "look.json"
ARRAYS = "arrays.npz"
_STEP = re.compile(r"step-(\d+)")


class Folder:
    """A folder with step-00000500/ and so on: look.json (answers and numbers), a PNG for each map, arrays.npz (maps and heads).

    A step that comes again, after a resumed training, replaces what was there. look.json is written last: a step that has one is whole.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def write(self, look: Look) -> None:
        """Write one look; OSError where the disk does not take it."""
        from vizlib.figures.overlay import encode_png

        home = self.path / f"step-{look.step:08d}"
        arrays: dict[str, Any] = {}
        files: dict[str, dict[str, str]] = {}
        for number, ((picture, method), explanation) in enumerate(look.maps.items()):
            file = f"{number:03d}-{file_name(picture)}-{method}.png"
            replace_file(home / file, encode_png(explanation.picture()))
            files.setdefault(picture, {})[method] = file
            arrays[f"map/{picture}/{method}"] = np.asarray(explanation.input_map, np.float32)
        for site, measures in look.heads.items():
            arrays |= {f"heads/{site}/{name}": values for name, values in measures.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        replace_file(home / ARRAYS, buffer.getvalue())
        answers = {
            picture: [{"label": answer.label, "index": answer.index, "probability": answer.probability} for answer in given]
            for picture, given in look.answers.items()
        }
        content: dict[str, Any] = {"step": look.step, "answers": answers, "numbers": look.scalars(), "files": files}
        replace_file(home / LOOK, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())

    def close(self) -> None:
        """Nothing is left open."""


def read_looks(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What a ``Folder`` holds, by rising step: each look.json with ``folder`` beside; TrainingError where there is none."""
    home = Path(path)
    steps = sorted((int(match[1]), entry) for entry in home.glob("step-*") if (match := _STEP.fullmatch(entry.name)))
    looks = []
    for _, entry in steps:
        file = entry / LOOK
        if file.is_file():  # else a step that was cut off
            looks.append(json.loads(file.read_text(encoding="utf-8")) | {"folder": str(entry)})
    if not looks:
        raise TrainingError(f"{home} holds no looks of a training: name the folder that Folder(...) was given.")
    return looks


def file_name(name: str) -> str:
    """A name as every file system takes it."""
    return re.sub(r"[^\w.-]+", "_", name)[:60].strip("._") or "picture"
