"""The manifest of a saved explanation: read from a file that anybody may have changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = "explanation.json"
FORMAT = 1


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a saved explanation; VizlibError when the folder holds none that this version reads, or a damaged one."""
    if not isinstance(folder, str | os.PathLike):
        raise VizlibError(f"A saved explanation is named by its folder's path, not by a {type(folder).__name__}.")
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VizlibError(f"{folder} holds no {MANIFEST}; name a folder that Explanation.save or `vizlib explain --out` wrote.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise VizlibError(f"{path} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise VizlibError(f"{path} is not an explanation of format {FORMAT}.")
    _check(manifest, {"replayable": _FIELDS["replayable"]}, path)
    if not manifest["replayable"]:
        raise ModelError(f"{folder} cannot be replayed: {manifest.get('obstacle')}.")
    _check(manifest, _FIELDS, path)
    _check(manifest["recipe"], _RECIPE, path)
    return manifest


def _check(values: dict[str, Any], fields: dict[str, tuple[str, Callable[[Any], bool]]], path: Path) -> None:
    for name, (kind, fits) in fields.items():
        if name not in values:
            raise VizlibError(f"{path} is damaged: it says nothing of {name}.")
        if not fits(values[name]):
            raise VizlibError(f"{path} is damaged: {name} is {kind}, not {str(values[name])[:60]}.")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_count, value))


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "replayable": ("true or false", lambda value: isinstance(value, bool)),
    "method": ("a name", _text),
    "options": ("a table", lambda value: isinstance(value, dict)),
    "recipe": ("a table", lambda value: isinstance(value, dict)),
    "target": ("a class, a pair of them or nothing", _or_none(lambda value: _count(value) or _pair(value))),
    "fit": ("a name or nothing", _or_none(_text)),
    "input": ("the name of a file in the folder", lambda value: _text(value) and Path(value).name == value),
}
_RECIPE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a model's name", _text),
    "checkpoint": ("a path or nothing", _or_none(_text)),
    "num_classes": ("a number or nothing", _or_none(_count)),
    "image_size": ("a height and width or nothing", _or_none(_pair)),
    "labels": (
        "a list of names or nothing",
        _or_none(lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value)),
    ),
    "dtype": ("a name or nothing", _or_none(_text)),
}
