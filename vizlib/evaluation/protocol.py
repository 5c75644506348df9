"""How much every measure of faithfulness measures: shared, so that scores of different maps and models can be compared."""

from __future__ import annotations

BASELINES = ("mean", "blur", "colour")  # pictures without evidence; a score is the mean over them
PARTS = 32  # equal shares of the pixels that are taken away or given back one after another
RANDOM_MAPS = 20  # random smooth maps that a map has to beat
CELLS = 8  # cells along each side of the grid that random subsets are drawn from
SUBSET_SIZES, SUBSETS_PER_SIZE = (4, 8, 16, 32), 32  # cells in a subset, and subsets of each size
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the pixels that are imputed, in either order
SURE = 95  # per cent of the random maps that a good map beats
