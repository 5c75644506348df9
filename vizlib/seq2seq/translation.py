"""What a translator wrote, with every quantity of every step: arrays and texts, read without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Step:
    """One step: the character written and all that led to it, as float32 arrays; those of attention are None in a model without it.

    token; probabilities (V,) over the translator's ``vocabulary``; top ((character, p), ...); query (d,), keys (n, d), values (n, dv),
    scores (n,) before temperature and mask, weights (n,), context (dv,), combined, output (h,), logits (V,), as ``formula`` says.
    In the Transformer those of attention are the last layer's: heads side by side in query, keys, values and context, their mean in
    scores and weights, each apart in per_head; heads (layers, heads, n) and self_weights (layers, heads, t) are all weights.
    """

    token: str
    probabilities: np.ndarray
    top: tuple[tuple[str, float], ...]
    combined: np.ndarray
    output: np.ndarray
    logits: np.ndarray
    query: np.ndarray | None = None
    keys: np.ndarray | None = None
    values: np.ndarray | None = None
    scores: np.ndarray | None = None
    weights: np.ndarray | None = None
    context: np.ndarray | None = None
    heads: np.ndarray | None = None
    self_weights: np.ndarray | None = None
    per_head: dict[str, np.ndarray] = field(default_factory=dict)
    formula: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Translation:
    """What was written: ``source`` and ``tokens`` character by character, the end mark as one of them, and the steps.

    ``beams`` are the targets found, the likeliest first, with their log-probabilities; ``right`` is None where the rule cannot read the
    source. ``encoder_weights`` (layers, heads, n, n) are the Transformer encoder's own attention.
    """

    source: tuple[str, ...]
    output: str
    tokens: tuple[str, ...]
    steps: tuple[Step, ...]
    log_probability: float
    beams: tuple[tuple[str, float], ...]
    right: bool | None
    encoder_weights: np.ndarray | None = None

    @property
    def formula(self) -> dict[str, str]:
        """The formula of each quantity as LaTeX."""
        return self.steps[0].formula

    @property
    def alignment(self) -> np.ndarray | None:
        """The weights of all steps, (T, n); None without attention."""
        rows = [step.weights for step in self.steps if step.weights is not None]
        return np.stack(rows) if rows else None

    @property
    def nbytes(self) -> int:
        """About what keeping it takes: the arrays of all steps."""
        arrays = [value for step in self.steps for value in (*vars(step).values(), *step.per_head.values())]
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
