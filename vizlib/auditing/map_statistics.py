"""One map in a few numbers: how even, where, how much in its strongest cell, how much on the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from vizlib.evaluation.pointing_game import pointing

CELLS = 28  # of a side of the grid on which a map is kept where it has no coarser one of its own


@dataclass(frozen=True)
class MapStatistics:
    """``evenness`` is the entropy of the map's cells over that of an even map, 0 to 1; ``centre_row`` and ``centre_column`` the middle of
    its mass in shares of the input's height and width; ``strongest`` the share of its largest cell, of ``cells``. NaN where it is zero.
    """

    evenness: float
    centre_row: float
    centre_column: float
    strongest: float
    cells: int


def map_statistics(grid_map: np.ndarray) -> MapStatistics:
    """The numbers of a map (rows, columns), by the shares |a| / sum |a| of its cells.

    Evenness is -sum p log p / log n (Shannon's entropy over its largest value).
    """
    weights = np.abs(np.asarray(grid_map, dtype=np.float64))
    total = float(weights.sum())
    rows, columns = weights.shape
    if total == 0:
        return MapStatistics(*(float("nan"),) * 4, weights.size)
    p = weights / total
    positive = p[p > 0]
    evenness = float(-(positive * np.log(positive)).sum() / np.log(p.size)) if p.size > 1 else 1.0
    row = float((p.sum(1) * (np.arange(rows) + 0.5)).sum() / rows)
    column = float((p.sum(0) * (np.arange(columns) + 0.5)).sum() / columns)
    return MapStatistics(evenness, row, column, float(p.max()), weights.size)


@dataclass(frozen=True)
class RegionStatistics:
    """``share`` of the map's positive part that lies in a region, of which an even map would have ``area``; ``pointing`` is 1 where its
    highest pixel lies in it (Zhang et al. 2016), the share of them where several are highest.
    """

    share: float
    area: float
    pointing: float


def region_statistics(input_map: np.ndarray, region: np.ndarray, content: np.ndarray) -> RegionStatistics | None:
    """The numbers of a map (h, w) and a region, bool (h, w); pixels outside ``content`` are none of the picture's and count nowhere.

    A map without a positive part says as much as an even one. None where nothing of the region was seen.
    """
    seen, inside = np.asarray(content, dtype=bool), np.asarray(region, dtype=bool) & content
    if not inside.any():
        return None
    positive = np.where(seen, np.clip(np.asarray(input_map, dtype=np.float64), 0, None), 0.0)
    if not positive.any():
        positive = seen.astype(np.float64)
    values = torch.from_numpy(np.where(seen, positive, -1.0))[None]
    hit = float(pointing(values, torch.from_numpy(inside)[None])[0])
    return RegionStatistics(float(positive[inside].sum() / positive.sum()), float(inside.sum() / seen.sum()), hit)


def kept_grid(input_map: np.ndarray, stages: tuple[np.ndarray, ...]) -> np.ndarray:
    """The map as it is kept, float64 (rows, columns): on the coarsest grid of a rollout, else the sums over at most 28 x 28 cells."""
    if stages:
        return np.asarray(stages[0], dtype=np.float64)
    return cell_sums(input_map, CELLS)


def cell_sums(values: np.ndarray, most: int) -> np.ndarray:
    """The sums of values (h, w) over at most ``most`` x ``most`` cells, float64: a pixel on a border is split, and nothing is lost."""
    rows, columns = np.shape(values)
    return sums_on(values, (min(most, rows), min(most, columns)))


def sums_on(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The sums of values (h, w) over cells (rows, columns) of at most as many, float64."""
    whole = np.asarray(values, dtype=np.float64)
    if whole.shape == shape:
        return whole
    rows, columns = (_overlaps(side, cells) for side, cells in zip(whole.shape, shape, strict=True))
    return rows @ whole @ columns.T


@lru_cache(maxsize=64)
def _overlaps(pixels: int, cells: int) -> np.ndarray:
    """How much of each pixel lies in each cell, (cells, pixels)."""
    edges = np.arange(cells + 1) * pixels / cells
    left = np.maximum(edges[:-1, None], np.arange(pixels))
    right = np.minimum(edges[1:, None], np.arange(1, pixels + 1))
    return np.clip(right - left, 0, None)
