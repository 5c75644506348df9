"""Captum draws from torch's and numpy's global generators: here one method at a time does, from a seed, and puts them back."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators start from ``seed`` inside the block, which one thread enters at a time, and are as before after it."""
    with _ONE, torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_available() else ()):
        before = np.random.get_state()  # noqa: NPY002  captum draws from this one
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
