"""From what was typed to photographs, and from photographs to the folders of their explanations."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.cli.errors_and_output import readable, stderr_console
from vizlib.errors import ImageError
from vizlib.images import is_picture, read_with_scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

BATCH = 16  # on an accelerator
_PIXELS = 48_000_000  # of one batch's photographs together, which are held until their maps are written
_LONGEST = 180  # bytes of a folder's name: file systems take 255, and a number may follow
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')  # what Windows does not take in a name
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))})
_OURS = frozenset({"map.png", "map.npz", "image.png", "input.npz", "explanation.json", "explanation.json.part"})


def expand_paths(words: Sequence[str]) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files that some words name, each once and in order, and (word, reason) for every word that names none.

    A folder stands for the pictures right inside it; a word with wildcards that the shell left alone for what it matches, ``**`` included.
    """
    by_real_path: dict[str, Path] = {}
    missing = []
    for word in words:
        paths = _matches(word)
        if not paths:
            missing.append((word, _why_none(word)))
        for path in paths:
            by_real_path.setdefault(os.path.realpath(path), path)
    return list(by_real_path.values()), missing


def _matches(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if is_picture(entry))
    if os.path.lexists(path) or not glob.has_magic(word):
        return [path]
    entries = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
    return sorted(entry for entry in entries if is_picture(entry))


def _why_none(word: str) -> str:
    if Path(word).expanduser().is_dir():
        return (
            f"The folder {word!r} has no pictures right inside it: name another, or take in its folders with '{Path(word) / '**' / '*'}'."
        )
    return f"Nothing matches {word!r}: check the name and the folder."


def in_batches(paths: Sequence[Path], most: int, refuse: Callable[[Path, ImageError], None]) -> Iterator[list[tuple[Path, np.ndarray]]]:
    """The photographs in batches of ``most`` that fit the memory; ``refuse`` hears of each that cannot be read."""
    batch: list[tuple[Path, np.ndarray]] = []
    pixels = 0
    for path in paths:
        try:
            image, scaling = read_with_scaling(path)
        except ImageError as error:
            refuse(path, error)
            continue
        if scaling:
            stderr_console().print(f"{readable(path)}: {scaling}", soft_wrap=True, markup=False)
        size = image.shape[0] * image.shape[1]
        if batch and (len(batch) == most or pixels + size > _PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append((path, image))
        pixels += size
    if batch:
        yield batch


def folder_name(photo: Path) -> str:
    """A photograph's name without its ending, made one that names a folder right inside another on every system.

    What no system takes in a name becomes "_", dots and blanks at the end go; a name of nothing else, as that of ``...jpg``, is "photo".
    """
    name = _FORBIDDEN.sub("_", photo.stem).rstrip(". ")
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1].rstrip(". ")
    if not name:
        return "photo"
    return f"{name}_" if name.split(".")[0].lower() in _DEVICES else name


class OutputFolders:
    """Where explanations go: OUT/NAME for each photograph, with -2, -3 and so on for names that are taken."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.taken: set[str] = set()

    def of(self, photo: Path) -> Path:
        """The folder of one photograph: an explanation already there is replaced, other files never are."""
        first = folder_name(photo)
        number = 1
        while True:
            name = first if number == 1 else f"{first}-{number}"
            # Some file systems take Cat and cat for one name.
            if name.casefold() not in self.taken and _is_ours(self.out / name):
                self.taken.add(name.casefold())
                return self.out / name
            number += 1


def _is_ours(folder: Path) -> bool:
    if not os.path.lexists(folder):
        return True
    if folder.is_symlink() or not folder.is_dir():
        return False
    # A link would take what is written to wherever it points.
    return all(entry.name in _OURS and not entry.is_symlink() for entry in folder.iterdir())
