"""Work for the tests of the engine, importable by another process."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture as pages hold one."""

    name: str
    pixels: np.ndarray

    @property
    def blob_key(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Mapped:
    """A result that shares its picture with who asked."""

    image: np.ndarray
    values: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.values.nbytes


def mean_of(photo: Photo, *, progress: Any) -> Mapped:
    return Mapped(photo.pixels, photo.pixels.mean(2))


def process(*, progress: Any) -> int:
    return os.getpid()


def count_to(steps: int, *, progress: Any) -> int:
    for step in range(steps):
        progress(step, steps, "Counting")
        progress.share([step])
        time.sleep(0.02)
    return steps


def die_once(mark: str, *, progress: Any) -> str:
    """Kill this process, unless another has died of it."""
    if not Path(mark).exists():
        Path(mark).write_text(str(os.getpid()), encoding="ascii")
        os.kill(os.getpid(), signal.SIGKILL)
    return Path(mark).read_text(encoding="ascii")


def die(*, progress: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class OddError(Exception):
    """An error that cannot be copied by pickling."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fail_oddly(*, progress: Any) -> None:
    raise OddError("one", "two")


def give_a_tensor(*, progress: Any) -> Any:
    import torch

    return torch.zeros(3)


def hear_nothing(mark: str, *, progress: Any) -> None:
    """Go on for good, whatever ``progress`` says."""
    Path(mark).write_text(str(os.getpid()), encoding="ascii")
    while True:
        time.sleep(0.1)


def note_and_count(mark: str, number: int, steps: int, *, progress: Any) -> int:
    with Path(mark).open("a", encoding="ascii") as file:
        file.write(f"begun{number}\n")
    counted = count_to(steps, progress=progress)
    with Path(mark).open("a", encoding="ascii") as file:
        file.write(f"done{number}\n")
    return counted
