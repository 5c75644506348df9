"""How each bundled model is trained."""

from __future__ import annotations

from dataclasses import dataclass

from vizlib.errors import TrainingError, nearest
from vizlib.zoo.bundled_models import NAMES


@dataclass(frozen=True)
class Recipe:
    """One training schedule; two runs of the same recipe, seed, machine and thread count give the same weights."""

    epochs: int
    batch: int = 128
    rate: float = 2e-3  # AdamW's; Muon is scaled to the same root mean square of its updates
    weight_decay: float = 0.05
    warmup: float = 0.08  # share of all steps
    muon: bool = False  # for the matrices and kernels inside the blocks
    smoothing: float = 0.1
    ema: float = 0.998
    smallest_crop: float = 0.35
    operations: int = 1
    magnitude: int = 7
    mix: float = 0.5  # share of batches that are mixed
    plain: float = 0.15  # the last share of the epochs runs without RandAugment and mixing
    seed: int = 0


EQUAL = Recipe(epochs=12, batch=64, rate=1.5e-3, muon=True, mix=0.3)
"""One recipe for all, so that only the architecture differs."""

RECIPES: dict[str, Recipe] = dict.fromkeys(NAMES, EQUAL)


def recipe(name: str) -> Recipe:
    """The recipe of a bundled model; TrainingError for any other name."""
    if name not in RECIPES:
        raise TrainingError(f"There is no recipe for {name!r}; there is one for {', '.join(RECIPES)}.{nearest(name, list(RECIPES))}")
    return RECIPES[name]
