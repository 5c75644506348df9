"""Random parts of the image: how far the score drops without each, and what a map says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.evaluation.protocol import CELLS

if TYPE_CHECKING:
    from vizlib.evaluation.deletion_insertion import Answer


def random_subsets(sizes: tuple[int, ...], per_size: int, seed: int = 0) -> torch.Tensor:
    """``per_size`` random subsets of every size of the cells of a grid of CELLS x CELLS, as bool (sizes x per_size, CELLS, CELLS)."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(CELLS * CELLS, generator=generator) for _ in range(len(sizes) * per_size)])
    count = torch.tensor([size for size in sizes for _ in range(per_size)])
    return (order < count[:, None]).unflatten(1, (CELLS, CELLS))


def score_drops(answer: Answer, x: torch.Tensor, empty: torch.Tensor, subsets: torch.Tensor, batch: int) -> torch.Tensor:
    """How far the score (S,) falls from that of x (1, 3, h, w) when the cells of each subset (S, CELLS, CELLS) show ``empty``."""
    size = tuple(x.shape[2:])
    full = answer(x).double()
    without = []
    for some in subsets.split(batch):
        removed = F.interpolate(some[:, None].to(x), size=size, mode="nearest-exact") > 0
        without.append(answer(torch.where(removed, empty, x)).double())
    return full - torch.cat(without)


def subset_sums(maps: torch.Tensor, subsets: torch.Tensor) -> torch.Tensor:
    """The sum of each map (M, h, w) over each subset (S, CELLS, CELLS) of cells: (M, S)."""
    wide = F.interpolate(subsets[:, None].to(maps), size=tuple(maps.shape[1:]), mode="nearest-exact")[:, 0]
    return maps.flatten(1) @ wide.flatten(1).T
