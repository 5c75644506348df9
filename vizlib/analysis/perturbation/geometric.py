"""Pictures shifted, turned and scaled; and feature maps moved back to where the picture's places were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from vizlib.errors import MethodError

FILLS = ("reflect", "mean", "wrap")
_EDGE = 1e-9  # of a pixel or a cell: what lies this close to a border or a cell's centre lies on it


@dataclass(frozen=True)
class Motion:
    """Where each place of a picture goes: p -> turn (p - c) + c + offset, p and the picture's centre c as (y, x) in pixels.

    ``wrap`` says that what leaves on one side comes in on the other.
    """

    turn: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    offset: tuple[float, float] = (0.0, 0.0)
    wrap: bool = False

    def forth(self, places: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Where places (..., 2) of a picture (h, w) go: float64."""
        centre = torch.tensor(size, dtype=torch.float64) / 2
        return (places - centre) @ self._matrix().T + centre + torch.tensor(self.offset, dtype=torch.float64)

    def back(self, places: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Where places (..., 2) of the moved picture come from: float64."""
        centre = torch.tensor(size, dtype=torch.float64) / 2
        return (places - centre - torch.tensor(self.offset, dtype=torch.float64)) @ torch.linalg.inv(self._matrix()).T + centre

    def _matrix(self) -> torch.Tensor:
        return torch.tensor(self.turn, dtype=torch.float64)


def shift_by(pixels: float, fill: str = "reflect") -> Motion:
    """The motion to the right by so many pixels, which need not be whole."""
    return Motion(offset=(0.0, float(pixels)), wrap=_checked_fill(fill) == "wrap")


def rotation_by(degrees: float, fill: str = "reflect") -> Motion:
    """The motion anticlockwise about the centre; MethodError for a picture that wraps around, which cannot turn."""
    _unwrapped(fill, "turned")
    angle = math.radians(degrees)
    # Rows count downwards, so anticlockwise on the screen is this way round.
    return Motion(turn=((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))


def scale_by(factor: float, fill: str = "reflect") -> Motion:
    """The motion away from the centre (a factor above 1) or towards it; MethodError for a factor that is not above 0, or for "wrap"."""
    _unwrapped(fill, "scaled")
    if not factor > 0:
        raise MethodError(f"A picture is scaled by a factor above 0, not by {factor}.")
    return Motion(turn=((factor, 0.0), (0.0, factor)))


def moved(pixels: torch.Tensor, motion: Motion, fill: str = "reflect") -> torch.Tensor:
    """Pictures (B, 3, h, w) after a motion: bicubic between pixels, clipped to 0..1, exact for shifts by whole pixels.

    ``fill`` says what comes in where the picture ends: "reflect" mirrors it with its edge pixels repeated, "mean" is its mean colour,
    "wrap" its other side. MethodError for a shift further than the picture is wide.
    """
    height, width = pixels.shape[-2:]
    right = motion.offset[1]
    if abs(motion.offset[0]) > height or abs(right) > width:
        raise MethodError(f"A picture {width} pixels wide is moved by at most as much, not by {max(map(abs, motion.offset)):g} pixels.")
    if motion == Motion(offset=(0.0, right), wrap=motion.wrap) and right == round(right):
        return _whole_shift(pixels, round(right), fill)
    wide = pixels.to(torch.float64)
    mean = wide.mean((-2, -1), keepdim=True)
    margin = width if motion.wrap else 0
    source = F.pad(wide - mean, (margin, margin, 0, 0), mode="circular") if motion.wrap else wide - mean
    places = motion.back(_centres((height, width), (1.0, 1.0)), (height, width))
    # grid_sample counts from -1 to 1 between the outer edges, x first.
    grid = torch.stack([2 * (places[..., 1] + margin) / source.shape[-1] - 1, 2 * places[..., 0] / height - 1], -1)
    padding = "zeros" if fill == "mean" else "reflection"
    resampled = F.grid_sample(source, grid.expand(len(wide), -1, -1, -1), mode="bicubic", padding_mode=padding, align_corners=False)
    return (resampled + mean).clamp(0, 1).to(pixels.dtype)


def undone(maps: torch.Tensor, motion: Motion, size: tuple[int, int], margin: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (C, h, w) of a moved picture (H, W), read at where the cells of the picture went: float64 (C, h, w), and bool (h, w) where.

    Bilinear between cells. A cell counts as seen where all that is read for it comes from cells whose square of pixels, with ``margin``
    more pixels on each side, lies in the frame and showed the picture there, no fill. Pictures that wrap around have no such edge.
    """
    taps, seen = _taps((int(maps.shape[1]), int(maps.shape[2])), motion, size, margin)
    back = torch.zeros(maps.shape, dtype=torch.float64, device=maps.device)
    for weight, rows, columns in taps:
        back += weight.to(maps.device) * maps[:, rows, columns].to(torch.float64)
    return back, seen.clone()


@lru_cache(maxsize=64)  # layers share their grids
def _taps(
    grid: tuple[int, int], motion: Motion, size: tuple[int, int], margin: float
) -> tuple[list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], torch.Tensor]:
    """The four cells that are read for each: weight, row and column (h, w); and which cells are seen."""
    cell = (size[0] / grid[0], size[1] / grid[1])
    target = motion.forth(_centres(grid, cell), size) / torch.tensor(cell, dtype=torch.float64) - 0.5
    target = torch.where((target - target.round()).abs() < _EDGE, target.round(), target)
    whole = _showing(grid, cell, motion, size, margin)
    first, share = target.floor().long(), target - target.floor()
    taps, seen = [], torch.ones(grid, dtype=torch.bool)
    for down in (0, 1):
        for across in (0, 1):
            rows, columns = first[..., 0] + down, first[..., 1] + across
            weight = (share[..., 0] if down else 1 - share[..., 0]) * (share[..., 1] if across else 1 - share[..., 1])
            if motion.wrap:
                rows, columns = rows % grid[0], columns % grid[1]
            inside = (rows >= 0) & (rows < grid[0]) & (columns >= 0) & (columns < grid[1])
            rows, columns = rows.clamp(0, grid[0] - 1), columns.clamp(0, grid[1] - 1)
            seen &= (weight == 0) | (inside & whole[rows, columns])
            taps.append((weight, rows, columns))
    return taps, seen


def _showing(grid: tuple[int, int], cell: tuple[float, float], motion: Motion, size: tuple[int, int], margin: float) -> torch.Tensor:
    """Which cells of the moved picture's grid show nothing but the picture: bool (h, w)."""
    if motion.wrap:
        return torch.ones(grid, dtype=torch.bool)
    reach = torch.tensor(cell, dtype=torch.float64) / 2 + margin
    signs = torch.tensor([(down, across) for down in (-1.0, 1.0) for across in (-1.0, 1.0)], dtype=torch.float64)
    corners = _centres(grid, cell) + (signs * reach)[:, None, None]
    places = torch.cat([motion.back(corners, size), *([corners] if margin else [])])
    return ((places >= -_EDGE) & (places <= torch.tensor(size, dtype=torch.float64) + _EDGE)).all(-1).all(0)


def _centres(grid: tuple[int, int], cell: tuple[float, float]) -> torch.Tensor:
    rows, columns = ((torch.arange(count, dtype=torch.float64) + 0.5) * side for count, side in zip(grid, cell, strict=True))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


def _whole_shift(pixels: torch.Tensor, right: int, fill: str) -> torch.Tensor:
    width = pixels.shape[-1]
    source = torch.arange(width, device=pixels.device) - right
    if _checked_fill(fill) == "wrap":
        return pixels[..., source % width]
    inside = (source >= 0) & (source < width)
    if fill == "mean":
        mean = pixels.to(torch.float64).mean((-2, -1), keepdim=True).to(pixels.dtype)
        return torch.where(inside, pixels[..., source.clamp(0, width - 1)], mean)
    return pixels[..., torch.where(source < 0, -1 - source, torch.where(source >= width, 2 * width - 1 - source, source))]


def _checked_fill(fill: str) -> str:
    if fill not in FILLS:
        raise MethodError(f"What comes in at the edges is one of {', '.join(FILLS)}, not {fill!r}.")
    return fill


def _unwrapped(fill: str, what: str) -> None:
    if _checked_fill(fill) == "wrap":
        raise MethodError(f'A picture that is {what} has no other side to wrap around to: fill with "reflect" or "mean".')
