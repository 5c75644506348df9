"""A model's answers to a picture at several strengths of a change: read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from vizlib.analysis.features.layer import Layer


def share_kept(after: np.ndarray, before: float) -> np.ndarray:
    """How much of a probability is left: at most all of it, for what was gained was not kept and would hide what is lost elsewhere."""
    return (after / before).clip(max=1.0)


@dataclass(frozen=True, eq=False)
class Response:
    """A model's answers to one picture at S strengths of a change; all arrays float64.

    ``original`` (K,) and ``probabilities`` (S, K); ``divergence`` (S,), KL(original || changed) in nats; ``readout`` (S,), the cosine
    between what the head reads before and after; ``drift`` (L, S) of ``layers``, see ``layer_drift``, NaN where no cell can be compared.
    """

    perturbation: str
    strengths: tuple[float, ...]
    original: np.ndarray
    probabilities: np.ndarray
    divergence: np.ndarray
    readout: np.ndarray
    layers: list[Layer]
    drift: np.ndarray

    @property
    def target(self) -> int:
        """The model's first answer to the picture as it is."""
        return int(self.original.argmax())

    @property
    def curve(self) -> np.ndarray:
        """The probability of that answer at every strength: (S,)."""
        return self.probabilities[:, self.target]

    @property
    def kept(self) -> np.ndarray:
        """The share of that answer's probability that every strength leaves, see ``share_kept``: (S,)."""
        return share_kept(self.curve, self.original[self.target])

    @property
    def same(self) -> np.ndarray:
        """Whether it stays the first answer: bool (S,)."""
        return self.probabilities.argmax(1) == self.target

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return self.probabilities.nbytes + self.drift.nbytes + 3 * self.readout.nbytes + 500 * len(self.layers)
