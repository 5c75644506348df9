"""CvT's convolutional projection by hand: one depth-wise kernel makes queries of every token, and keys of every second.

Wu et al., "CvT: Introducing Convolutions to Vision Transformers", ICCV 2021, arXiv:2103.15808.
"""

from __future__ import annotations

from vizlib.analysis.toys.number_sheet import NumberSheet, Place, window

SIDE, KERNEL, STRIDE = 4, 3, 2
_CHANNEL = [[0, 1, 2, 0], [1, 3, 1, 2], [0, 2, 4, 1], [1, 0, 1, 3]]
_KERNEL = [[0, 1, 0], [1, 2, 1], [0, 1, 0]]
_W = 2


def depthwise_kernel() -> NumberSheet:
    """One channel (4, 4), its kernel (3, 3), what it gives for queries (4, 4) and, stepping by two, for keys (2, 2), then both times W."""
    sheet = NumberSheet()
    channel = sheet.give("One channel", f"of {SIDE} × {SIDE} tokens", _CHANNEL)
    kernel = sheet.give("Its kernel", "no other channel has it, and it reads no other", _KERNEL)

    def convolved(stride: int) -> list[list[list[Place]]]:
        corners = range(-1, SIDE - 1, stride)
        return [
            [[Place(channel, cell), Place(kernel, turn)] for turn, cell in window(SIDE, KERNEL, row, column) if cell is not None]
            for row in corners
            for column in corners
        ]

    every = sheet.work_out("Convolved", "the kernel on every token", SIDE, convolved(1))
    second = sheet.work_out("Every second", f"the kernel steps by {STRIDE}: a quarter is left", SIDE // STRIDE, convolved(STRIDE))
    weight = sheet.give("W", "the linear map, which joins channels; here of one", [[_W]])
    for title, convolution, columns, role in (("q", every, SIDE, "query"), ("k", second, SIDE // STRIDE, "key")):
        count = len(sheet.grids[convolution].numbers)
        products = [[[Place(weight, 0), Place(convolution, cell)]] for cell in range(count)]
        sheet.work_out(title, f"W × conv(x), {count} numbers", columns, products, role=role)
    return sheet
