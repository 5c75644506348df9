"""The same places of an image in layers of any grid: points that all models see, and the states there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.geometry import Geometry


def shared_box(geometries: Sequence[Geometry]) -> tuple[float, float, float, float]:
    """The box (y0, x0, y1, x1) of image pixels that every one of the geometries sees; MethodError where there is none."""
    boxes = []
    for geometry in geometries:
        height, width = geometry.input_size
        y0, x0, y1, x1 = geometry.box_to_image([0, 0, height, width])
        boxes.append((max(y0, 0.0), max(x0, 0.0), min(y1, geometry.image_size[0]), min(x1, geometry.image_size[1])))
    y0, x0 = (max(box[axis] for box in boxes) for axis in (0, 1))
    y1, x1 = (min(box[axis] for box in boxes) for axis in (2, 3))
    if y1 <= y0 or x1 <= x0:
        raise MethodError("The models see no part of this image in common: give one fit to all of them.")
    return (y0, x0, y1, x1)


def scattered(count: int, seed: int = 0) -> np.ndarray:
    """``count`` places (count, 2) as (y, x) in the unit square: one at random in each of that many cells of a jittered grid's first ones.

    The cells are drawn without repetition from the smallest square grid that has enough, by a local generator: the same for one seed.
    """
    if count < 1:
        raise MethodError(f"{count} places show nothing: ask for at least 1.")
    generator = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    cells = np.sort(generator.permutation(side * side)[:count])
    corners = np.stack(np.divmod(cells, side), -1)
    return (corners + generator.random((count, 2))) / side


def in_input(places: np.ndarray, box: tuple[float, float, float, float], geometry: Geometry) -> np.ndarray:
    """Places (P, 2) of the unit square laid over a box of image pixels, as shares (P, 2) of the model's input, (y, x)."""
    y0, x0, y1, x1 = box
    pixels = np.array([y0, x0]) + places * np.array([y1 - y0, x1 - x0])
    return geometry.to_input(pixels) / np.array(geometry.input_size)


def sampled(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Maps (B, C, h, w) read at places (B, P, 2), shares of the input as (y, x): (B, P, C), bilinear between the centres of cells.

    Beyond the outermost centres the border cell's value goes on.
    """
    precision = torch.promote_types(maps.dtype, torch.float32)
    grid = places.flip(-1).to(maps.device, precision)[:, :, None] * 2 - 1
    values = F.grid_sample(maps.to(precision), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return values[..., 0].transpose(1, 2)
