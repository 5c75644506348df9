"""T2T-ViT's soft split by hand: 3 x 3 windows that step by two unfold 5 x 5 numbers into nine tokens.

Yuan et al., "Tokens-to-Token ViT", ICCV 2021, arXiv:2101.11986.
"""

from __future__ import annotations

from fractions import Fraction

from vizlib.analysis.toys.number_sheet import Number, NumberSheet, Place, window

SIDE, KERNEL, STRIDE, PADDING = 5, 3, 2, 1
_PICTURE = [[1, 2, 0, 3, 1], [2, 5, 1, 4, 0], [0, 1, 3, 2, 2], [4, 0, 2, 1, 1], [1, 3, 0, 2, 0]]
_WEIGHTS = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]


def soft_split() -> NumberSheet:
    """The picture (5, 5), its nine tokens of nine numbers (9, 9), how often each number was copied (5, 5), weights and projection."""
    sheet = NumberSheet()
    picture = sheet.give("The picture", f"{SIDE} × {SIDE} numbers", _PICTURE)
    corners = range(-PADDING, SIDE - KERNEL + PADDING + 1, STRIDE)
    windows = [window(SIDE, KERNEL, row, column) for row in corners for column in corners]
    cells = [cell for covered in windows for _, cell in covered]
    outside = Number(Fraction(0), origin="outside of the picture there are zeros")
    copies: list[list[list[Place]] | Number] = [outside if cell is None else [[Place(picture, cell)]] for cell in cells]
    tokens = sheet.work_out("Unfolded", f"a line for each {KERNEL} × {KERNEL} window: nine tokens of nine numbers", KERNEL * KERNEL, copies)
    counts = [_count([index for index, covered in enumerate(windows, 1) if cell in dict(covered).values()]) for cell in range(SIDE * SIDE)]
    sheet.work_out("Copies", "in how many windows each number of the picture lies", SIDE, counts)
    weights = sheet.give("Weights", "one output of the linear map that reads a token", _WEIGHTS)
    sums = [
        [[Place(tokens, KERNEL * KERNEL * token + turn), Place(weights, turn)] for turn, cell in covered if cell is not None]
        for token, covered in enumerate(windows)
    ]
    sheet.work_out("Projected", "each token times the weights: a number for each", len(corners), sums)
    return sheet


def _count(windows: list[int]) -> Number:
    names = f"window {windows[0]}" if len(windows) == 1 else f"windows {', '.join(map(str, windows[:-1]))} and {windows[-1]}"
    return Number(Fraction(len(windows)), origin=f"it lies in {names}")
