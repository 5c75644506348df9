"""How each bundled model is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class CardRecipe(Recipe):
    """A schedule for a GPU: the set lies on the card, is augmented there, and a teacher may answer for ``views`` crops of each photograph.

    The targets are ``teacher`` of the teacher's probabilities at ``temperature`` and for the rest the labels. ``views`` 0: no teacher.
    """

    views: int = 24
    teacher: float = 0.7
    temperature: float = 1.0
    colour: float = 0.4  # the largest change of brightness, contrast and saturation
    sharpness: float = 0.5  # share of photographs that are sharpened or blurred
    erase: float = 0.25  # share of photographs that lose a rectangle
    side: int = 64  # of the input in pixels; the photographs have 64, so that twice as many make the grid of tokens twice as fine


EQUAL = Recipe(epochs=12, batch=64, rate=1.5e-3, muon=True, mix=0.3)
"""One recipe for all on a CPU: what ViT, Compact ViT and T2T-ViT were trained by."""

ON_CARD = CardRecipe(
    epochs=120, batch=512, rate=2e-3, warmup=0.05, muon=True, ema=0.999, mix=0.5, operations=0, magnitude=0, colour=0.3, erase=0.1
)
"""One recipe for all on a GPU, with a teacher; none of the shipped weights is of it."""

ALONE = replace(ON_CARD, views=0, teacher=0.0)
"""The same without a teacher: what CCT, PVT, CvT and ResNet were trained by."""

FINE = replace(ALONE, epochs=200, batch=256, side=128)
"""Longer and on a grid of 16 x 16 tokens where the others have 8 x 8; none of the shipped weights is of it."""

LONG = replace(EQUAL, epochs=30, ema=0.999, mix=0.4)
"""The CPU's recipe at two and a half times its length; none of the shipped weights is of it."""

KINDS: dict[str, Recipe] = {"cpu": EQUAL, "cpu-long": LONG, "card": ON_CARD, "card-alone": ALONE, "card-fine": FINE}
RECIPES: dict[str, Recipe] = dict.fromkeys(NAMES, EQUAL)


def recipe(name: str, kind: str = "cpu") -> Recipe:
    """The recipe of a bundled model, of a kind of ``KINDS``; TrainingError for any other name."""
    if kind not in KINDS:
        raise TrainingError(f"There is no kind of recipe called {kind!r}: choose {', '.join(KINDS)}.{nearest(kind, list(KINDS))}")
    if name not in RECIPES:
        raise TrainingError(f"There is no recipe for {name!r}; there is one for {', '.join(RECIPES)}.{nearest(name, list(RECIPES))}")
    return RECIPES[name] if kind == "cpu" else KINDS[kind]
