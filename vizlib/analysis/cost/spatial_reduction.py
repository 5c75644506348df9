"""Spatial-reduction attention: what one reduced key gathers, and what full, reduced and linear attention cost.

Wang et al., "Pyramid Vision Transformer" (ICCV 2021), arXiv:2102.12122, for SRA; "PVT v2" (2022), arXiv:2106.13797, for linear SRA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.errors import MethodError

if TYPE_CHECKING:
    import torch

    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.adapters import Lineage

KINDS = ("full", "sra", "linear")
POOL = 7
"""The side of the grid that linear SRA pools to, whatever the input."""


@dataclass(frozen=True)
class Layer:
    """One attention layer: its width C, heads h, reduction R, and the stride of its tokens in pixels."""

    width: int
    heads: int
    reduction: int
    stride: int

    def grid(self, side: int) -> tuple[int, int]:
        """The tokens of a square image of this side."""
        return (side // self.stride, side // self.stride)


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one layer: ``projections`` (q, k, v and the output), ``reducing`` the keys' grid, and ``attention`` itself."""

    projections: int
    reducing: int
    attention: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.projections + self.reducing + self.attention


def sites(lineage: Lineage) -> list[Attention]:
    """The attention steps of a lineage in the order of execution, each with the windows that its keys are gathered by."""
    from vizlib.tracing.token_flow import Attention

    return [step for step in reversed(lineage.steps) if isinstance(step, Attention)]


def gathered(step: Attention, key: int) -> torch.Tensor:
    """What one key of an attention gathers: the share of every cell of its tokens' grid, (h, w) float64, summing to 1.

    Keys are counted with learned tokens first, and those gather no cell. With windows="contribution" the shares follow the picture:
    ||W_d x_d|| for the cell at d of its window.
    """
    import torch

    grid = step.source if step.gather is None else step.gather.source
    count = step.site.key_grid.tokens
    if not 0 <= key < count:
        raise MethodError(f"{step.site.name} has keys 0 to {count - 1}; there is no {key}.")
    row = torch.zeros(1, 1, count, dtype=torch.float64, device=step.site.q.device)
    row[..., key] = 1
    shares = row if step.gather is None else step.gather.spread(row)
    return shares[0, 0, grid.prefix :].unflatten(0, grid.shape)


def keys(kind: str, grid: tuple[int, int], reduction: int) -> int:
    """How many keys a grid (h, w) of tokens leaves: all, one for each whole R x R block, or 7 x 7; MethodError for another kind."""
    height, width = grid
    if kind == "full":
        return height * width
    if kind == "sra":
        return (height // reduction) * (width // reduction)
    if kind == "linear":
        return POOL * POOL
    raise MethodError(f"There is no attention {kind!r}; there are {', '.join(KINDS)}.")


def multiply_adds(kind: str, layer: Layer, grid: tuple[int, int]) -> Cost:
    """The multiply-adds of one layer over N = h w tokens and M keys, norms, softmax and pooling left out.

    q and output: 2 N C^2; k and v: 2 M C^2; attention: 2 N M C. Reducing: R^2 M C^2 for SRA's R x R convolution, M C^2 for the
    1 x 1 convolution of linear SRA. Full attention has M = N, SRA M = N / R^2, linear SRA M = 49.
    """
    tokens, count, width = grid[0] * grid[1], keys(kind, grid, layer.reduction), layer.width
    convolved = kind == "linear" or (kind == "sra" and layer.reduction > 1)
    window = layer.reduction**2 if kind == "sra" else 1
    return Cost(2 * (tokens + count) * width**2, window * count * width**2 if convolved else 0, 2 * tokens * count * width)


def peak_bytes(kind: str, layer: Layer, grid: tuple[int, int], *, fused: bool = False, item: int = 4) -> int:
    """The most bytes that tensors of one layer hold at once, input and weights left out, for values of ``item`` bytes.

    Written out: the scores and their softmax, h N M each, beside q, k and v. Fused attention keeps neither. Where there are few keys
    the scaled q, or the output while its heads are joined, sets the peak.
    """
    tokens, count, width = grid[0] * grid[1], keys(kind, grid, layer.reduction), layer.width
    beside, map_size, matrix = (tokens + 2 * count) * width, tokens * width, layer.heads * tokens * count
    moments = [map_size * (2 if fused or layer.heads == 1 else 3), beside + map_size]
    if not fused:
        moments += [beside + map_size + matrix, beside + 2 * matrix]
    return item * max(moments)
