"""What a model knows of places: its answer and its tokens before and after patches are shuffled or the picture is shifted.

A transformer without positions answers a shuffled set of patches as it answers the ordered one; convolutions see their neighbours change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.analysis.features.feature_pyramid import stage_maps
from vizlib.errors import MethodError
from vizlib.passes.forward import run
from vizlib.tracing.shared_copy import shared_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.passes.forward import Pass
    from vizlib.zoo.model import Model

    Back = Callable[[int, torch.Tensor], torch.Tensor | None]  # a variant's number and its map, with the shuffle undone

_TABLE = re.compile(r"(^|\.)pos(itional)?_emb(ed)?\d*$")


@dataclass(frozen=True)
class ShuffleEffect:
    """What moving the pixels did. ``distance``: half the sum of |p' - p| over all classes, 0 the same answer, 1 no class in common.

    ``logit``: the largest change of a logit. ``same_answer``: whether the first class stayed. ``tokens``: the mean cosine between a token
    of the last stage and the token of the same pixels after the move, None where the move does not carry cells onto cells.
    """

    distance: float
    logit: float
    same_answer: bool
    tokens: float | None


def random_order(cells: int, seed: int = 0) -> torch.Tensor:
    """A random order of cells (cells,) from a generator of its own, in which at least one cell moves where there are two."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(cells, generator=generator)
    return order.roll(1) if cells > 1 and bool((order == torch.arange(cells)).all()) else order


def shuffle_patches(x: torch.Tensor, patch: tuple[int, int], order: torch.Tensor) -> torch.Tensor:
    """Maps (..., h, w) whose patch i, of patch (rows, columns), is patch order[i] of the given one, patches row by row.

    MethodError when the patches do not fill the map, or the order is not one of its patches.
    """
    (height, width), (tall, wide) = x.shape[-2:], patch
    if height % tall or width % wide:
        raise MethodError(f"Patches of {tall} x {wide} do not fill a map of {height} x {width}.")
    rows, columns = height // tall, width // wide
    if sorted(order.tolist()) != list(range(rows * columns)):
        raise MethodError(f"An order of {rows} x {columns} patches names each of 0 to {rows * columns - 1} once.")
    patches = x.unflatten(-1, (columns, wide)).unflatten(-3, (rows, tall)).movedim(-3, -2).flatten(-4, -3)
    moved = patches.index_select(-3, order.to(x.device))
    return moved.unflatten(-3, (rows, columns)).movedim(-2, -3).flatten(-2).flatten(-3, -2)


def shift(x: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Maps (..., h, w) moved by whole cells; what leaves on one side comes in on the other, so that nothing is lost."""
    return x.roll((down, right), (-2, -1))


def has_positions(model: Model) -> bool:
    """Whether a model adds a table of positions to its tokens."""
    return any(_TABLE.search(name) for name, _ in model.module.named_parameters())


def without_positions(model: Model) -> Model:
    """The same model with its tables of positions at zero, sharing all other weights; the model itself stays as it is.

    MethodError for a model that has no table.
    """
    if not has_positions(model):
        raise MethodError(f"{model.card.name} has no table of positions to leave out.")
    copied = shared_copy(model.module)
    for name, table in list(copied.named_parameters()):
        if _TABLE.search(name):
            home, _, leaf = name.rpartition(".")
            setattr(copied.get_submodule(home), leaf, nn.Parameter(torch.zeros_like(table), requires_grad=False))
    return replace(model, module=copied, adapter=model.adapter.for_copy(copied))


def shuffled(model: Model, x: torch.Tensor, patch: int, seeds: Sequence[int] = (0,)) -> list[ShuffleEffect]:
    """What shuffling the patches of a prepared input (1, 3, h, w) does to a model, once for each seed."""
    cells = (x.shape[-2] // patch) * (x.shape[-1] // patch)
    orders = [random_order(cells, seed) for seed in seeds]
    moved = torch.cat([shuffle_patches(x, (patch, patch), order) for order in orders])

    def back(index: int, features: torch.Tensor) -> torch.Tensor | None:
        steps = _cells(x, features, patch)
        return None if steps is None else shuffle_patches(features, steps, orders[index].argsort())

    return _changes(model, x, moved, back)


def shifted(model: Model, x: torch.Tensor, shifts: Sequence[tuple[int, int]]) -> list[ShuffleEffect]:
    """What moving a prepared input (1, 3, h, w) by (down, right) pixels does to a model, once for each shift."""
    moved = torch.cat([shift(x, *by) for by in shifts])

    def back(index: int, features: torch.Tensor) -> torch.Tensor | None:
        down, right = (_whole(by * cells, side) for by, cells, side in zip(shifts[index], features.shape[-2:], x.shape[-2:], strict=True))
        return None if down is None or right is None else shift(features, -down, -right)

    return _changes(model, x, moved, back)


def _changes(model: Model, x: torch.Tensor, moved: torch.Tensor, back: Back) -> list[ShuffleEffect]:
    forward_pass = run(model, torch.cat([x, moved]), keep_states=True)
    logits = forward_pass.logits.to(torch.float64)
    shares = model.probabilities(logits)
    before = _last(forward_pass, 0)
    changes = []
    for index in range(1, len(logits)):
        after = back(index - 1, _last(forward_pass, index))
        cosine = None if after is None else float(F.cosine_similarity(before, after, dim=0).mean())
        distance = float((shares[index] - shares[0]).abs().sum()) / 2
        same = bool(logits[index].argmax() == logits[0].argmax())
        changes.append(ShuffleEffect(distance, float((logits[index] - logits[0]).abs().max()), same, cosine))
    return changes


def _last(forward_pass: Pass, image: int) -> torch.Tensor:
    return next(reversed(stage_maps(forward_pass, image).values())).to(torch.float64)


def _cells(x: torch.Tensor, features: torch.Tensor, patch: int) -> tuple[int, int] | None:
    """A patch of pixels in cells of the features, where it is a whole number of them."""
    tall, wide = (_whole(patch * cells, side) for cells, side in zip(features.shape[-2:], x.shape[-2:], strict=True))
    return (tall, wide) if tall and wide else None


def _whole(product: int, side: int) -> int | None:
    return product // side if product % side == 0 else None
