"""What is known of a tensor while a network runs on place numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from vizlib.tracing.place_graph.nodes import Node

_NAME = "_vizlib_mark"


@dataclass(frozen=True, eq=False)
class Places:
    """Every number stands at a place: ``index`` has the tensor's shape and holds image * places + place, -1 where nothing stands.

    ``gate`` says that a sigmoid has just made them: beside other places in a product they only scale.
    """

    node: Node
    index: torch.Tensor
    gate: bool = False


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights or a share of channels: ``index`` has the tensor's shape and holds the position along the softmax's axis.

    ``over_places`` says whether what went into the softmax was a product summed over places; ``mixed`` that heads were mixed since;
    ``asking`` where the queries stand, (lead..., N), as long as that is known.
    """

    index: torch.Tensor
    over_places: bool
    mixed: bool = False
    asking: torch.Tensor | None = None


@dataclass(frozen=True)
class Scores:
    """A product of two tensors of the pass: an attention's scores, if a softmax follows. ``over_places``: it summed over places."""

    over_places: bool
    path: str
    asking: torch.Tensor | None = None


@dataclass(frozen=True)
class Gate:
    """Numbers that scale what passes and carry nothing of a place, as a norm or a variance gives them."""


@dataclass(frozen=True)
class Lost:
    """What cannot be followed, and why."""

    reason: str


Mark = Places | Weights | Scores | Gate | Lost


def mark_of(value: Any) -> Mark | None:
    """The mark of a tensor, None for anything that does not depend on the image."""
    return getattr(value, _NAME, None) if isinstance(value, torch.Tensor) else None


def set_mark(tensor: torch.Tensor, mark: Mark) -> None:
    """Mark a tensor."""
    setattr(tensor, _NAME, mark)


def compact(index: torch.Tensor) -> torch.Tensor:
    """The same index with every axis along which it does not change at length 1."""
    for axis in range(index.ndim):
        if index.shape[axis] > 1 and (index.stride(axis) == 0 or _constant(index, axis)):
            index = index.narrow(axis, 0, 1)
    return index


def _constant(index: torch.Tensor, axis: int) -> bool:
    first = index.narrow(axis, 0, 1)
    if not bool((index.narrow(axis, 1, 1) == first).all()):
        return False
    return bool((index == first).all())
