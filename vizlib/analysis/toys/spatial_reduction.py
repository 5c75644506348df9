"""PVT's spatial reduction by hand: sixteen tokens ask, and 2 x 2 blocks of them make the four keys.

Wang et al., "Pyramid Vision Transformer", ICCV 2021, arXiv:2102.12122.
"""

from __future__ import annotations

from vizlib.analysis.toys.number_sheet import NumberSheet, Place, window

SIDE, RATIO = 4, 2
_TOKENS = [[1, 2, 0, 1], [3, 1, 1, 2], [2, 1, 2, 1], [1, 0, 1, 3]]
_WEIGHTS = [[1, 1], [2, -1]]


def spatial_reduction() -> NumberSheet:
    """The tokens (4, 4), the weights of a block (2, 2), the keys (2, 2), and every token's score with every key (16, 4)."""
    sheet = NumberSheet()
    tokens = sheet.give("Tokens", f"{SIDE} × {SIDE} of one number; each is a query too", _TOKENS, "query")
    weights = sheet.give("Weights", "what a flattened block is multiplied with", _WEIGHTS)
    corners = range(0, SIDE, RATIO)
    blocks = [window(SIDE, RATIO, row, column) for row in corners for column in corners]
    sums = [[[Place(tokens, cell), Place(weights, turn)] for turn, cell in block if cell is not None] for block in blocks]
    keys = sheet.work_out("Keys", f"one for each {RATIO} × {RATIO} block; blocks do not overlap", SIDE // RATIO, sums, role="key")
    scores = [[[Place(tokens, token), Place(keys, key)]] for token in range(SIDE * SIDE) for key in range(len(blocks))]
    sheet.work_out("Scores", f"a line for each token, a column for each key: {len(scores)}, not {SIDE**4}", len(blocks), scores)
    return sheet
