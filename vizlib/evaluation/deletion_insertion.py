"""What the answer becomes as a map's pixels are taken away, or given back, in the map's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[torch.Tensor], torch.Tensor]


def pixel_ranks(maps: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The place of every pixel of maps (M, h, w) when they fall, from 0: (M, h w). Equal pixels come in a random order from ``seed``."""
    flat = maps.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(seed)).to(flat.device)
    falling = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.empty_like(falling)
    return places.scatter_(1, falling, torch.arange(flat.shape[1], device=flat.device).expand_as(falling))


def removal_curves(
    answer: Answer, x: torch.Tensor, empty: torch.Tensor, maps: torch.Tensor, parts: int, batch: int, *, insert: bool
) -> torch.Tensor:
    """The answer (M, parts + 1) float64 after 0, 1, ... ``parts`` equal shares of the pixels, highest of each map first.

    Deletion puts pixels of ``empty`` (1, 3, h, w) into ``x``; insertion those of ``x`` into ``empty``. ``answer`` gives one number for each
    of at most ``batch`` images (n, 3, h, w). The first image and the last are the same for all maps, and go through once.
    """
    places, pixels = pixel_ranks(maps), maps[0].numel()
    steps = [(row, step) for row in range(len(maps)) for step in range(1, parts)]
    start, end = (empty, x) if insert else (x, empty)
    first_and_last = torch.cat([answer(image).double() for image in (start, end)]).expand(len(maps), 2)
    answers = []
    for first in range(0, len(steps), batch):
        some = steps[first : first + batch]
        counts = torch.tensor([round(step * pixels / parts) for _, step in some], device=x.device)
        taken = (places[[row for row, _ in some]] < counts[:, None]).unflatten(1, maps.shape[1:])[:, None]
        answers.append(answer(torch.where(taken, end, start)).double())
    between = torch.cat(answers).unflatten(0, (len(maps), parts - 1))
    return torch.cat([first_and_last[:, :1], between, first_and_last[:, 1:]], 1)


def area(curve: torch.Tensor) -> torch.Tensor:
    """The area (...) under curves (..., parts + 1) over 0 to 1, by trapezia: the sum of (c_i + c_(i + 1)) / 2 over ``parts``."""
    return (curve[..., 1:] + curve[..., :-1]).mean(-1) / 2
