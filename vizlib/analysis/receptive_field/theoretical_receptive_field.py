"""Which cells a token is made of: parents one step down, receptive fields in pixels, and how often each pixel is counted.

A window operator is (kernel, stride, padding), each a number or (vertical, horizontal): what an unfold, a convolution and a pool have in
common. Windows are rectangles, so every count below is the product of a count down and a count across, and both are small matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Window = Sequence[int | tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Reach:
    """How the cells of one grid are reached from the cells of another: ``down`` (h, H) and ``across`` (w, W) int64 counts.

    Cell (i, j) takes cell (y, x) in along ``down[i, y] * across[j, x]`` paths of overlapping windows.
    """

    down: torch.Tensor
    across: torch.Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """The upper grid (h, w)."""
        return (len(self.down), len(self.across))

    @property
    def size(self) -> tuple[int, int]:
        """The lower grid (H, W)."""
        return (self.down.shape[1], self.across.shape[1])

    def counts(self, row: int, column: int) -> torch.Tensor:
        """The paths from each lower cell to upper cell (row, column): int64 (H, W)."""
        return self.down[row][:, None] * self.across[column][None, :]

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The smallest box (y0, x0, y1, x1) around what upper cell (row, column) is made of, ends left out."""
        (y0, y1), (x0, x1) = _span(self.down[row]), _span(self.across[column])
        return (y0, x0, y1, x1)

    def overlap(self) -> torch.Tensor:
        """How many paths leave each lower cell, to whichever upper cell: int64 (H, W); 1 everywhere where nothing overlaps."""
        return self.down.sum(0)[:, None] * self.across.sum(0)[None, :]

    def below(self, lower: Reach) -> Reach:
        """This reach continued through the one below it; VizlibError when the grids between them differ."""
        if self.size != lower.grid:
            raise VizlibError(f"A reach to a grid of {self.size} cannot go on from one of {lower.grid}.")
        return Reach(self.down @ lower.down, self.across @ lower.across)


def parents(size: tuple[int, int], window: Window) -> Reach:
    """One window operator over a grid (H, W): the cells each of its windows covers, padding left out.

    VizlibError when not a single window fits.
    """
    kernel, stride, padding = (_pair(part) for part in window)
    down, across = (_covered(*axis) for axis in zip(size, kernel, stride, padding, strict=True))
    return Reach(down, across)


def reaches(size: tuple[int, int], windows: Sequence[Window]) -> list[Reach]:
    """The reach of each grid down to the cells (H, W) that the windows, lowest first, are applied to in turn.

    The last one counts the paths to a unit of the topmost grid: its receptive field. Araujo et al., "Computing Receptive Fields of
    Convolutional Neural Networks", Distill 2019.
    """
    chain: list[Reach] = []
    for window in windows:
        step = parents(size if not chain else chain[-1].grid, window)
        chain.append(step if not chain else step.below(chain[-1]))
    return chain


def _covered(side: int, kernel: int, stride: int, padding: int) -> torch.Tensor:
    """The unfold of the cell numbers 0 .. side - 1, as counts (windows, side)."""
    if side + 2 * padding < kernel or min(side, kernel, stride) < 1:
        raise VizlibError(f"No window of {kernel} cells, stride {stride} and padding {padding} fits a side of {side}.")
    outside = torch.full((padding,), side)
    numbers = torch.cat([outside, torch.arange(side), outside]).unfold(0, kernel, stride)
    return torch.nn.functional.one_hot(numbers, side + 1).sum(1)[:, :side]


def _span(counts: torch.Tensor) -> tuple[int, int]:
    reached = torch.nonzero(counts).flatten()
    return (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, 0)


def _pair(part: int | tuple[int, int]) -> tuple[int, int]:
    return (part, part) if isinstance(part, int) else (int(part[0]), int(part[1]))
