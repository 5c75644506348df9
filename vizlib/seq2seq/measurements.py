"""What is measured of translators: rows and arrays, read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class LengthRow(NamedTuple):
    """How many of ``samples`` sources of about ``length`` characters were translated exactly: share, and 95 % Wilson interval.

    ``placed`` is the sum over sources of the share of the right answer's characters that stand in their place.
    """

    length: int
    right: int
    samples: int
    share: float
    low: float
    high: float
    placed: float


class Gradients(NamedTuple):
    """Per distance from the source's end (0 is the last character): the mean norm relative to distance 0, and its 95 % interval."""

    distance: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class LeftOut(NamedTuple):
    """What each source character (n,) gives to the log-probability of one step's character, in nats: positive where it speaks for it.

    ``removed``: the source read again without it. ``masked``: only its key closed to attention, None without attention.
    """

    token: str
    removed: np.ndarray
    masked: np.ndarray | None
