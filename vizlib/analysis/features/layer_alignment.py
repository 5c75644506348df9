"""Which layer of one model belongs beside which of another: by relative depth, by stride, or by what they hold alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.features.layer import Layer

WAYS = {
    "depth": "each layer beside the one at the same share of the way up",
    "stride": "each layer beside the one whose cells are nearest in size; among those, the one at the same share of the way up",
    "cka": "each layer beside the one with the highest CKA",
}


def aligned(way: str, first: Sequence[Layer], second: Sequence[Layer], cka: np.ndarray | None = None) -> list[tuple[int, int]]:
    """For every layer of the first model its partner in the second: pairs (i, j), i rising.

    depth: least |depth_i - depth_j|. stride: least |log2 stride_i / stride_j|, then least |depth_i - depth_j|. cka: highest of row i of
    ``cka`` (first layers, second layers). Of equals the lower j. MethodError for another way, or "cka" without a whole matrix.
    """
    if way not in WAYS:
        raise MethodError(f"Layers are aligned by {', '.join(WAYS)}, not by {way!r}.")
    if way == "cka":
        if cka is None or cka.shape != (len(first), len(second)) or not np.isfinite(cka).all():
            raise MethodError("Layers can only be aligned by CKA once it has been measured for all of them.")
        return [(i, int(j)) for i, j in enumerate(cka.argmax(1))]
    # Rounded, so that what is equally far is a tie whatever the thirds.
    far = np.round(np.abs(np.subtract.outer([layer.depth for layer in first], [layer.depth for layer in second])), 9)
    if way == "stride":
        apart = np.abs(np.log2(np.divide.outer([layer.stride for layer in first], [layer.stride for layer in second])))
        # Depths differ by 1 at most: two of any difference in stride outweigh them.
        far = far + 2e9 * np.round(apart, 9)
    return [(i, int(j)) for i, j in enumerate(far.argmin(1))]
