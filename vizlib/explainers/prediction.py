"""One class of a model's answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """One class of an answer: its number and label, its logit, and its probability by the model's activation, 0 to 1."""

    index: int
    label: str
    probability: float
    logit: float
