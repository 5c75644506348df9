"""Pictures with patches hidden: at random, or in the order of a map."""

from __future__ import annotations

import torch

from vizlib.errors import MethodError

ORDERS = ("random", "salient", "other")


def order(grid: tuple[int, int], by: str, *, seed: int = 0, salience: torch.Tensor | None = None) -> torch.Tensor:
    """In which order the patches of a grid (rows, columns) are hidden: int64 (rows * columns,).

    ``by`` "random" draws it from a generator of its own; "salient" takes the patches with the largest sum of ``salience`` (h, w) first,
    "other" those with the smallest; of equals the first. MethodError without a map where one is needed.
    """
    if by not in ORDERS:
        raise MethodError(f"Patches are hidden in one of the orders {', '.join(ORDERS)}, not {by!r}.")
    if by == "random":
        return torch.randperm(grid[0] * grid[1], generator=torch.Generator().manual_seed(seed))
    if salience is None:
        raise MethodError("To hide patches by how salient they are, give a map (h, w) on the model's input as salience.")
    rows, columns = (_owner(side, count) for side, count in zip(salience.shape, grid, strict=True))
    owner = (rows[:, None] * grid[1] + columns[None]).flatten()
    sums = torch.zeros(grid[0] * grid[1], dtype=torch.float64).index_add_(0, owner, salience.detach().cpu().to(torch.float64).flatten())
    return sums.argsort(descending=by == "salient", stable=True)


def occluded(pixels: torch.Tensor, share: float, sequence: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Pictures (B, 3, h, w) of which the first round(share * patches) of a sequence of patches are covered with the mean colour.

    The mean is that of each picture before anything is hidden. A larger share hides what a smaller one hid, and more. After Naseer et
    al., "Intriguing Properties of Vision Transformers", NeurIPS 2021, arXiv:2105.10497, who cover in black.
    """
    if not 0 <= share <= 1:
        raise MethodError(f"From no patch to all of them is a share from 0 to 1, not {share}.")
    hidden = torch.zeros(grid[0] * grid[1], dtype=torch.bool)
    hidden[sequence[: round(share * len(sequence))]] = True
    rows, columns = (_owner(side, count) for side, count in zip(pixels.shape[-2:], grid, strict=True))
    mask = hidden.unflatten(0, grid)[rows][:, columns].to(pixels.device)
    mean = pixels.to(torch.float64).mean((-2, -1), keepdim=True).to(pixels.dtype)
    return torch.where(mask, mean, pixels)


def _owner(side: int, count: int) -> torch.Tensor:
    """Which of so many stretches, equal where they can be, each pixel of a side lies in."""
    if not 1 <= count <= side:
        raise MethodError(f"A side of {side} pixels is cut into 1 to {side} patches, not {count}.")
    return torch.arange(side) * count // side
