"""What the answer becomes as a map's pixels are taken away, or given back, in the map's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Answer = Callable[[torch.Tensor], torch.Tensor]


def pixel_ranks(maps: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The place of every pixel of maps (M, h, w) when they fall, from 0: (M, h w). Equal pixels come in a random order from ``seed``."""
    flat = maps.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(seed)).to(flat.device)
    falling = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    places = torch.empty_like(falling)
    return places.scatter_(1, falling, torch.arange(flat.shape[1], device=flat.device).expand_as(falling))


class Remover:
    """``x`` and ``empty`` (1, 3, h, w) mixed in the order of maps, by their ``pixel_ranks`` (M, h w), and the answers to any mixture.

    Deletion puts pixels of ``empty`` into ``x``; insertion those of ``x`` into ``empty``. ``answer`` gives one number for each of at most
    ``batch`` images (n, 3, h, w).
    """

    def __init__(
        self, answer: Answer, x: torch.Tensor, empty: torch.Tensor, places: torch.Tensor, parts: int, batch: int, *, insert: bool
    ) -> None:
        self._answer, self._parts, self._batch = answer, parts, batch
        self._start, self._end = (empty, x) if insert else (x, empty)
        self._places, self._size = places, x.shape[2:]

    def ends(self) -> torch.Tensor:
        """The answers (2,) float64 before any pixel is exchanged and after all are: the same for all maps."""
        return torch.cat([self._answer(image).double() for image in (self._start, self._end)])

    def at(self, points: Sequence[tuple[int, int]]) -> torch.Tensor:
        """The answers (n,) float64 of pairs (map, how many of ``parts`` equal shares of the pixels are exchanged)."""
        pixels, answers = self._places.shape[1], []
        for first in range(0, len(points), self._batch):
            some = points[first : first + self._batch]
            counts = torch.tensor([round(step * pixels / self._parts) for _, step in some], device=self._start.device)
            taken = (self._places[[row for row, _ in some]] < counts[:, None]).unflatten(1, self._size)[:, None]
            answers.append(self._answer(torch.where(taken, self._end, self._start)).double())
        return torch.cat(answers)


def removal_curves(
    answer: Answer, x: torch.Tensor, empty: torch.Tensor, maps: torch.Tensor, parts: int, batch: int, *, insert: bool
) -> torch.Tensor:
    """The answer (M, parts + 1) float64 after 0, 1, ... ``parts`` equal shares of the pixels, highest of each map first.

    Deletion puts pixels of ``empty`` (1, 3, h, w) into ``x``; insertion those of ``x`` into ``empty``. ``answer`` gives one number for each
    of at most ``batch`` images (n, 3, h, w). The first image and the last are the same for all maps, and go through once.
    """
    remover = Remover(answer, x, empty, pixel_ranks(maps), parts, batch, insert=insert)
    first_and_last = remover.ends().expand(len(maps), 2)
    between = remover.at([(row, step) for row in range(len(maps)) for step in range(1, parts)]).unflatten(0, (len(maps), parts - 1))
    return torch.cat([first_and_last[:, :1], between, first_and_last[:, 1:]], 1)


def area(curve: torch.Tensor) -> torch.Tensor:
    """The area (...) under curves (..., parts + 1) over 0 to 1, by trapezia: the sum of (c_i + c_(i + 1)) / 2 over ``parts``."""
    return (curve[..., 1:] + curve[..., :-1]).mean(-1) / 2
