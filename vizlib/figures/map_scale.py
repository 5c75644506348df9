"""Where the colours of a map end: one rule wherever a map is drawn."""

from __future__ import annotations

import numpy as np

QUANTILE = 0.99  # of the values on the picture: what a few places hold more than all others shows as saturated
LEAST = 2.0  # times the even share: a map that is flat looks flat


def upper_end(values: np.ndarray, even: float | None = None) -> float:
    """The value at which the colours end, of finite values (n,) on the picture: their 99 % quantile, of magnitudes where some are negative.

    ``even`` is what each pixel would have if all had the same; the colours then go to twice that at least. Where nearly all values are
    zero it is the largest one.
    """
    if not values.size:
        return 0.0
    magnitudes = np.abs(values)
    top = float(np.quantile(magnitudes, QUANTILE))
    top = top if top > 0 else float(magnitudes.max())
    return top if even is None else max(top, LEAST * even)


def share_above(values: np.ndarray, end: float) -> float:
    """The share of finite values (n,) whose magnitude lies above the end of the colours, up to rounding."""
    return float((np.abs(values) > end * (1 + 1e-6)).mean()) if values.size else 0.0


def colours_end(input_map: np.ndarray, content: np.ndarray, sink: float | None = None) -> float:
    """Where the colours of a map of shares (h, w) end, of which ``content`` (h, w) lies on the picture and ``sink`` outside of the map."""
    return upper_end(input_map[content & np.isfinite(input_map)], even_share(input_map, sink))


def even_share(input_map: np.ndarray, sink: float | None) -> float | None:
    """What each pixel of a map (h, w) without negative values would have if all had the same; None for a map of zeros."""
    total = float(np.nansum(input_map)) + (sink or 0.0)
    return total / input_map.size if total > 0 else None
