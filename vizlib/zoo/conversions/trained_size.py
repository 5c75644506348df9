"""The input size that weights were trained at, where their own shapes tell: position tables, bias tables of relative places."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import torch

from vizlib.errors import ModelError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from vizlib.geometry import Transform

Shape = tuple[int, ...]
_TRIED = 24  # sizes, each of which builds the network without weights
_STEPS = (32, 16, 8)  # pixels that sides are multiples of, the likeliest first


class Builds(Protocol):
    """What builds a network of an architecture, as a loading plan does."""

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        """The network for so many classes and an input (h, w)."""

    def classes_of(self, state: dict[str, torch.Tensor]) -> int:
        """How many classes the head in a state has; CheckpointError where there is none that is known."""

    def transform(self, module: nn.Module) -> Transform:
        """How pictures are prepared for it."""


def trained_size(plan: Builds, state: dict[str, torch.Tensor], classes: int | None) -> tuple[int, int] | None:
    """The square input (side, side) for which the plan's network has exactly the shapes of a state; None where no size does.

    Only weights under the network's own names are looked at. An input that is not square cannot be told from its number of places.
    """
    given = _shapes(state)
    try:
        classes = plan.classes_of(state) if classes is None else classes
        expected, base = _built(plan, classes, None)
    except VizlibError:
        return None
    if set(given) != set(expected) or base is None:
        return None
    other = [(given[name], shape) for name, shape in expected.items() if given[name] != shape]
    for side in islice(_sides(base, other), _TRIED):
        try:
            if _built(plan, classes, (side, side))[0] == given:
                return side, side
        except ModelError:  # the architecture does not take this size
            continue
    return None


def _built(plan: Builds, classes: int | None, size: tuple[int, int] | None) -> tuple[dict[str, Shape], int | None]:
    """The shapes of the network without weights, and the side of its square input."""
    with torch.device("meta"):
        module = plan.build(classes, size)
    height, width = plan.transform(module).size
    return _shapes(dict(module.state_dict())), height if height == width else None


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _sides(base: int, other: list[tuple[Shape, Shape]]) -> Iterator[int]:
    """Sides of an input that may make shapes of one size those of another: by the ratio of places, learned tokens left out."""
    exact: dict[int, None] = {}
    near: dict[int, None] = {}
    for given, expected in other[:3]:
        for ours, theirs in zip(given, expected, strict=False):
            if ours == theirs:
                continue
            ratios = [ours / theirs, (ours + 1) / (theirs + 1)]
            ratios += [math.sqrt((ours - learned) / (theirs - learned)) for learned in range(3) if min(ours, theirs) > learned]
            for side in (base * ratio for ratio in ratios):
                if math.isclose(side, round(side), abs_tol=1e-6):
                    exact[round(side)] = None
                near |= {step * (int(side // step) + more): None for step in _STEPS for more in (0, 1)}
    yield from (side for side in exact if side > 0)
    yield from sorted((side for side in near if side > 0 and side not in exact), key=lambda side: [side % step > 0 for step in _STEPS])
