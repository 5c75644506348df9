"""How the places of an image lie in what a part of a network gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from vizlib.tracing.place_graph.marks import Places, compact
from vizlib.tracing.token_grid import Grid

if TYPE_CHECKING:
    from vizlib.tracing.place_graph.marks import Mark


@dataclass(frozen=True)
class Lying:
    """A map (B, C, h, w) ("first": channels before places), (B, h, w, C) ("last"), or tokens (B, prefix + h w, C) ("tokens").

    ``group`` is the same for parts whose outputs stand at the very same places, ``channels`` is C.
    """

    form: Literal["first", "last", "tokens"]
    grid: Grid
    group: int | tuple[int, ...]
    channels: int

    def cells(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The cells (B, h w, C) of such a tensor, None where it is another one."""
        if self.form == "tokens":
            return tensor[:, self.grid.prefix :] if tensor.ndim == 3 and tensor.shape[1] == self.grid.tokens else None
        if tensor.ndim != 4 or tuple(tensor.shape[2:] if self.form == "first" else tensor.shape[1:3]) != self.grid.shape:
            return None
        return tensor.flatten(2).transpose(1, 2) if self.form == "first" else tensor.flatten(1, 2)


def lying(tensor: torch.Tensor, mark: Mark | None, size: tuple[int, int]) -> Lying | None:
    """How the places of an input (h, w) lie in a tensor; by its shape alone, for maps, where its places were lost."""
    if isinstance(mark, Places) and tensor.ndim in (3, 4):
        narrow = compact(mark.index[:1])
        places = mark.node.places
        counted = narrow.numel() == places and torch.equal(narrow.flatten().cpu(), torch.arange(places, dtype=narrow.dtype))
        if not counted or mark.node.grid.cells < 2:
            return None
        if tensor.ndim == 4 and not mark.node.grid.prefix:
            for form, shape in (("first", narrow.shape[2:]), ("last", narrow.shape[1:3])):
                if shape.numel() == places and min(shape) > 0 and tuple(narrow.shape).count(1) >= 2:
                    return Lying(form, Grid(*shape), id(mark.node), _channels(tensor, form))  # type: ignore[arg-type]
            return None
        tokens = tensor.ndim == 3 and tensor.shape[1] == places and mark.node.grid.height > 1
        return Lying("tokens", mark.node.grid, id(mark.node), tensor.shape[2]) if tokens else None
    if tensor.ndim != 4:
        return None
    for form, shape in (("first", tensor.shape[2:]), ("last", tensor.shape[1:3])):
        if shape.numel() > 1 and round(size[0] / shape[0]) == round(size[1] / shape[1]):
            return Lying(form, Grid(*shape), tuple(tensor.shape), _channels(tensor, form))  # type: ignore[arg-type]
    return None


def _channels(tensor: torch.Tensor, form: str) -> int:
    return int(tensor.shape[1 if form == "first" else -1])
