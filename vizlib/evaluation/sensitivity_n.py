"""Whether a map's sums foretell how far the score falls when random parts of the image are taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from vizlib.evaluation.deletion_insertion import Answer

CELLS = 8


def random_subsets(sizes: tuple[int, ...], each: int, seed: int = 0) -> torch.Tensor:
    """``each`` random subsets of every size of the cells of a grid of CELLS x CELLS, as bool (sizes x each, CELLS, CELLS)."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(CELLS * CELLS, generator=generator) for _ in range(len(sizes) * each)])
    count = torch.tensor([size for size in sizes for _ in range(each)])
    return (order < count[:, None]).unflatten(1, (CELLS, CELLS))


def falls(answer: Answer, x: torch.Tensor, empty: torch.Tensor, subsets: torch.Tensor, batch: int) -> torch.Tensor:
    """How far the score (S,) falls from that of x (1, 3, h, w) when the cells of each subset show ``empty``."""
    size = tuple(x.shape[2:])
    full = answer(x).double()
    left = []
    for some in subsets.split(batch):
        taken = F.interpolate(some[:, None].to(x), size=size, mode="nearest-exact") > 0
        left.append(answer(torch.where(taken, empty, x)).double())
    return full - torch.cat(left)


def sums(maps: torch.Tensor, subsets: torch.Tensor) -> torch.Tensor:
    """The sum of each map (M, h, w) over each subset of cells: (M, S)."""
    wide = F.interpolate(subsets[:, None].to(maps), size=tuple(maps.shape[1:]), mode="nearest-exact")[:, 0]
    return maps.flatten(1) @ wide.flatten(1).T


def sensitivity(sums: torch.Tensor, falls: torch.Tensor, each: int) -> torch.Tensor:
    """Pearson's correlation of sums (M, S) with falls (S,) within the ``each`` subsets of one size, the mean over sizes: (M,).

    Sensitivity-n, Ancona et al., Towards better understanding of gradient-based attribution methods (2018). A map whose sums are all the
    same foretells nothing and has 0.
    """
    mine, truth = sums.unflatten(1, (-1, each)), falls.unflatten(0, (-1, each))
    mine, truth = mine - mine.mean(-1, keepdim=True), truth - truth.mean(-1, keepdim=True)
    spread = mine.norm(dim=-1) * truth.norm(dim=-1)
    return torch.where(spread > 0, (mine * truth).sum(-1) / spread.clamp_min(1e-300), 0.0).mean(-1)


def infidelity(sums: torch.Tensor, falls: torch.Tensor) -> torch.Tensor:
    """min over b of E[(b sum - fall)^2] / E[fall^2] for sums (M, S) and falls (S,): 0 is perfect, 1 is what a map of zeros has, (M,).

    Yeh et al., On the (In)fidelity and Sensitivity of Explanations (2019), for the perturbation that takes cells away, with their optimal
    scale. A scale below zero is none: a map that foretells the opposite has 1.
    """
    product, power = (sums * falls).sum(-1), (sums * sums).sum(-1)
    scale = torch.where(power > 0, product / power.clamp_min(1e-300), 0.0).clamp_min(0)
    error = (scale[:, None] * sums - falls).square().mean(-1)
    return error / falls.square().mean().clamp_min(1e-300)
