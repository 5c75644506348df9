"""The images of a comparison, one after the other: from a folder, files or arrays, and what could not be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vizlib.errors import ImageError
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

T = TypeVar("T")
MOST, FEWEST, BATCHES = 16, 4, 4


@dataclass
class Source:
    """Images by name, read when they come up; ``skipped`` fills with (name, reason) as the reading goes."""

    items: list[tuple[str, Any]]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, images: Any) -> Source:
        """A folder stands for every file below it that is not hidden, a list for what is in it, a mapping for images by name.

        ImageError for nothing at all.
        """
        named = isinstance(images, Mapping)
        items: list[tuple[str, Any]] = list(images.items()) if named else []
        for number, image in enumerate(() if named else images if isinstance(images, list | tuple) else [images]):
            if not isinstance(image, str | os.PathLike):
                items.append((f"image {number + 1}", image))
            elif Path(image).is_dir():
                home = Path(image)
                files = sorted(path for path in home.rglob("*") if path.is_file() and not _hidden(path.relative_to(home)))
                items += [(str(path.relative_to(home)), path) for path in files]
            else:
                items.append((str(image), image))
        if not items:
            raise ImageError(f"There are no images in {images!r}: name a folder with pictures in it, or files.")
        return cls(items)

    @property
    def batch(self) -> int:
        """Images a minibatch: 16, or fewer where they would not make four of them, but at least 4."""
        return min(MOST, max(FEWEST, len(self.items) // BATCHES))

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((name, image) for _, name, image in self.numbered())

    def numbered(self) -> Iterator[tuple[int, str, np.ndarray]]:
        """Each image that can be read, with its place among ``items`` and its name."""
        for place, (name, item) in enumerate(self.items):
            try:
                yield place, name, read_image(item)
            except ImageError as error:
                self.skipped.append((name, str(error)))


def even_batches(items: Iterable[T], size: int, least: int = FEWEST) -> Iterator[list[T]]:
    """Runs of ``size``; a rest of fewer than ``least`` is added to the run before it."""
    previous: list[T] | None = None
    current: list[T] = []
    for item in items:
        current.append(item)
        if len(current) == size:
            if previous is not None:
                yield previous
            previous, current = current, []
    if previous is not None and len(current) < least:
        previous += current
        current = []
    yield from (batch for batch in (previous, current) if batch)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
