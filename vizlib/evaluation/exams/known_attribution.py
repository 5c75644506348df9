"""Questions to models whose exact attribution is known because their weights were set by hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.errors import ExamError, nearest
from vizlib.evaluation.exams.cards import KNOWN
from vizlib.evaluation.exams.exact_shapley import shapley
from vizlib.evaluation.exams.handmade_convnets import CELL, CELLS, SIDE, Tiles, pattern, picture
from vizlib.evaluation.exams.handmade_transformers import reader, relay
from vizlib.evaluation.exams.question import Question, Questions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from vizlib.zoo.model import Model

COUNT = 8  # questions of each kind
TINY = 1e-6  # values under this share of the largest are rounding


@dataclass(frozen=True)
class Kind:
    """A network, and the patterns of the tiles in each of its pictures, of which ``loud`` ones are three times as strong."""

    build: Callable[[], nn.Module]
    tiles: tuple[int, ...]
    loud: tuple[int, ...] = ()


KINDS: dict[str, Kind] = {
    "tiles_sum": Kind(
        lambda: Tiles([1, 0], [0, -1], "sum"),
        (0, 0, 0, 1, 1),
    ),
    "tiles_and": Kind(
        lambda: Tiles([1, 0], [0, 1], "and"),
        (0, 0, 1, 1),
    ),
    "tiles_or": Kind(
        lambda: Tiles([1, 0], [0, 1], "or"),
        (0, 0, 1, 1),
    ),
    "tiles_distractor": Kind(
        # The same pattern speaks to units 1 and 2, which the head weighs with plus and minus one.
        lambda: _cancelling(Tiles([1, 1, -1], [0, 0, 0], "sum")),
        (0, 0, 1, 1),
        loud=(1,),
    ),
    "vit_reader": Kind(
        reader,
        (0, 0, 1, 2),
    ),
    "vit_relay": Kind(
        relay,
        (0, 1, 2),
    ),
}


def known_questions(kind: str | None = None, *, count: int = COUNT, seed: int = 0) -> Questions:
    """``count`` questions to the model of one of KINDS, or to each of them.

    The truth (SIDE, SIDE) is the positive part of the exact Shapley value of each tile for the first class's logit, by all coalitions,
    spread evenly over the tile; an absent tile shows the mean colour. ExamError for a kind that there is not.
    """
    if kind is not None and kind not in KINDS:
        raise ExamError(f"There is no known model {kind!r}; there are {', '.join(KINDS)}.{nearest(str(kind), list(KINDS))}")
    wanted = list(KINDS) if kind is None else [kind]
    return Questions(_question(name, number, seed) for name in wanted for number in range(count))


@cache
def toy(kind: str) -> Model:
    """The model of one of KINDS, under that name, with the weights that were set by hand; KeyError for another."""
    from vizlib.zoo.load import wrap

    with torch.random.fork_rng(devices=[]):
        module = KINDS[kind].build().eval().requires_grad_(requires_grad=False)
    model = wrap(module, input_size=SIDE, labels=("for", "against"))
    return replace(model, card=replace(model.card, name=kind, title=kind.replace("_", " "), licence="Apache-2.0"))


def exact(model: Model, tiles: Sequence[torch.Tensor]) -> torch.Tensor:
    """The Shapley values (n,) float64 of pictures (1, 3, h, w) that add up to the input, for the first class's logit.

    All 2^n coalitions go through the model; a tile that is out shows the mean colour, which is zero.
    """
    module = copy.deepcopy(model.module).double()
    parts = torch.cat(list(tiles)).double()

    def worth(coalitions: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([module(torch.einsum("cn,nkhw->ckhw", some.double(), parts))[:, 0] for some in coalitions.split(64)])

    return shapley(len(parts), worth)


def _question(kind: str, number: int, seed: int) -> Question:
    rng, about = np.random.default_rng([seed, number, *kind.encode()]), KINDS[kind]
    cells = [divmod(int(cell), CELLS[1]) for cell in rng.choice(CELLS[0] * CELLS[1], len(about.tiles), replace=False)]
    strengths = [float(rng.uniform(0.6, 1.4)) * (3 if tile in about.loud else 1) for tile in about.tiles]
    parts = [picture({cell: strength * pattern(tile)}) for cell, strength, tile in zip(cells, strengths, about.tiles, strict=True)]
    model, x = toy(kind), torch.cat(parts).sum(0, keepdim=True)
    values = exact(model, parts).numpy()
    truth = np.zeros((SIDE, SIDE))
    for (row, column), value in zip(cells, values, strict=True):
        if value > TINY * np.abs(values).max():
            truth[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = value / CELL**2
    assert model.transform is not None  # noqa: S101  it was given a size
    return Question("known", model.transform.to_rgb(x), x, model, 0, truth, f"{kind}: {KNOWN[kind]}", number, cells=CELLS)


def _cancelling(module: Tiles) -> Tiles:
    with torch.no_grad():
        module.units.weight[2] = module.units.weight[1]
    return module
