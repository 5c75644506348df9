"""How a convolution, an unfold or a patch embedding becomes a step: even windows, or windows weighed by what passes through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.errors import MethodError
from vizlib.tracing.token_flow import WeightedWindows, Windows

if TYPE_CHECKING:
    from vizlib.tracing.token_grid import Grid

MODES = ("uniform", "weight", "contribution")


@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding, each (vertical, horizontal)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @classmethod
    def square(cls, kernel: int, stride: int, padding: int = 0) -> Window:
        """The same in both directions."""
        return cls((kernel, kernel), (stride, stride), (padding, padding))

    def count(self, source: Grid) -> tuple[int, ...]:
        """How many windows fit, (vertical, horizontal)."""
        axes = zip(source.shape, self.kernel, self.stride, self.padding, strict=True)
        return tuple((side + 2 * padding - kernel) // stride + 1 for side, kernel, stride, padding in axes)


def spread(
    mode: str, source: Grid, target: Grid, window: Window, weight: torch.Tensor | None = None, x: torch.Tensor | None = None
) -> Windows | WeightedWindows:
    """The step of a linear window map with ``weight`` (out, in, kernel cells) over inputs ``x`` (B, in, h, w), learned tokens kept.

    uniform: equal shares. weight: cell d by ||W_d||, the spectral bound's window weights up to the norm. contribution: cell d of window
    t by ||W_d x_td||, so that the map follows the picture inside a window. MethodError where the weights or inputs are not known.
    """
    if mode == "uniform":
        return Windows.strided(source, target, window.kernel, window.stride, window.padding)
    if weight is None or (mode == "contribution" and x is None):
        raise MethodError(f"windows={mode!r} needs what this model does not report of one of its windows; take uniform.")
    if window.count(source) != target.shape:
        raise MethodError(f"windows={mode!r} cannot follow an input that the model pads by itself; take uniform.")
    shares = _norms(weight, target) if mode == "weight" or x is None else _contributions(weight, x, window)
    return WeightedWindows(source, target, window.kernel, window.stride, window.padding, shares)


def _norms(weight: torch.Tensor, target: Grid) -> torch.Tensor:
    norms = weight.detach().to(torch.float64).flatten(0, 1).norm(dim=0)
    return norms[None, :, None].expand(1, -1, target.cells)


def _contributions(weight: torch.Tensor, x: torch.Tensor, window: Window) -> torch.Tensor:
    precision = torch.promote_types(x.dtype, torch.float32)
    patches = F.unfold(x.to(precision), window.kernel, padding=window.padding, stride=window.stride)
    patches = patches.unflatten(1, (weight.shape[1], weight.shape[2]))
    kernel = weight.detach().to(precision)
    norms = [(kernel[:, :, cell] @ patches[:, :, cell]).norm(dim=1) for cell in range(weight.shape[2])]
    return torch.stack(norms, 1).to(torch.float64)
