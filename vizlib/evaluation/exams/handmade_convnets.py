"""Pictures of tiles, and convolutional networks whose weights are set so that what every tile adds is known."""

from __future__ import annotations

import torch
from torch import nn

SIDE, CELL = 64, 8
CELLS = (SIDE // CELL, SIDE // CELL)


def pattern(kind: int) -> torch.Tensor:
    """One of nine tiles (3, CELL, CELL) of plus and minus one in one colour, any two of them orthogonal: stripes either way and checks."""
    stripes = 1.0 - 2.0 * (torch.arange(CELL) // 2 % 2)
    even = torch.ones(CELL)
    along, down = [(stripes, even), (even, stripes), (stripes, stripes)][kind // 3]
    tile = torch.zeros(3, CELL, CELL)
    tile[kind % 3] = down[:, None] * along[None]
    return tile


def picture(tiles: dict[tuple[int, int], torch.Tensor]) -> torch.Tensor:
    """The input (1, 3, SIDE, SIDE) with tiles (3, CELL, CELL) on cells (row, column), and the mean colour, which is zero, elsewhere."""
    x = torch.zeros(1, 3, SIDE, SIDE)
    for (row, column), tile in tiles.items():
        x[0, :, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = tile
    return x


def detectors(kinds: int) -> torch.Tensor:
    """Weights (kinds, 3, CELL, CELL) of units that answer s to pattern k times s, each to its own k alone."""
    return torch.stack([pattern(kind) / pattern(kind).square().sum() for kind in range(kinds)])


class Tiles(nn.Module):
    """Logits (v, -v), v = join(a, b), from what two lists of units find over the whole picture, each clipped at zero and summed.

    ``first`` and ``second`` are the weights of units (kinds,) in a and in b. "sum": a + b; "and": the smaller of them, a - relu(a - b);
    "or": the larger, a + relu(b - a).
    """

    num_classes = 2
    # Where the last feature map is read.
    feature_info = ({"module": "clipped"},)

    def __init__(self, first: list[float], second: list[float], join: str) -> None:
        super().__init__()
        self.join = join
        self.units = nn.Conv2d(3, len(first), CELL, CELL, bias=False)
        self.clipped, self.compared = nn.ReLU(), nn.ReLU()
        self.heads = nn.Linear(len(first), 2, bias=False)
        with torch.no_grad():
            self.units.weight.copy_(detectors(len(first)))
            self.heads.weight.copy_(torch.tensor([first, second]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of inputs (B, 3, h, w)."""
        a, b = self.heads(self.clipped(self.units(x)).sum((2, 3))).unbind(1)
        if self.join == "and":
            score = a - self.compared(a - b)
        elif self.join == "or":
            score = a + self.compared(b - a)
        else:
            score = a + b
        return torch.stack([score, -score], 1)
