"""The small charts of a report as SVG: a value with its interval, and the heads of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.html_page import escaped
from vizlib.figures.layer_names import layer_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.overview.head_means import SiteMeans

_WIDE, _HIGH, _EDGE = 128, 14, 4  # of an interval, in pixels
_STEP, _TALL, _MARGIN = 34, 220, 36  # of a chart: pixels a layer, its height, and the room of its axis
UNITS = {"distance": "px", "entropy": "bits"}


def interval_svg(value: float, left: float, right: float, *, low: float = 0.0, high: float = 1.0, reference: float | None = None) -> str:
    """A value with its interval, and a reference, on a line from ``low`` to ``high``."""

    def place(number: float) -> float:
        share = (number - low) / (high - low)
        return round(_EDGE + (_WIDE - 2 * _EDGE) * min(1.0, max(0.0, share)), 1)

    middle = _HIGH / 2
    known = np.isfinite(left) and np.isfinite(right)
    bar = f'<line class="interval" x1="{place(left)}" y1="{middle}" x2="{place(right)}" y2="{middle}"/>' if known else ""
    beside = "" if reference is None else f'<line class="reference" x1="{place(reference)}" y1="0" x2="{place(reference)}" y2="{_HIGH}"/>'
    return (
        f'<svg width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}" aria-hidden="true">'
        f'<line class="axis" x1="{_EDGE}" y1="{middle}" x2="{_WIDE - _EDGE}" y2="{middle}"/>{beside}{bar}'
        f'<circle cx="{place(value)}" cy="{middle}" r="3.5"/></svg>'
    )


def site_dots(sites: Sequence[SiteMeans], measure: str) -> str:
    """A column for each attention: a dot for each head at its mean, with a line of one standard deviation to both sides."""
    top = max(float((site.mean[measure] + site.deviation[measure]).max()) for site in sites) or 1.0
    wide, bottom = _MARGIN + _STEP * len(sites) + 8, _TALL - 24

    def down(value: float) -> float:
        return round(8 + (bottom - 8) * (1 - max(0.0, value) / top), 1)

    ticks = "".join(
        f'<line class="axis" x1="{_MARGIN}" x2="{wide}" y1="{down(value)}" y2="{down(value)}"/>'
        f'<text x="{_MARGIN - 5}" y="{down(value) + 4}" text-anchor="end">{value:.3g}</text>'
        for value in (0.0, top / 2, top)
    )
    dots = []
    for place, site in enumerate(sites):
        centre = _MARGIN + _STEP * (place + 0.5)
        count = len(site.mean[measure])
        for head, (mean, spread) in enumerate(zip(site.mean[measure], site.deviation[measure], strict=True)):
            x = round(centre + (head - (count - 1) / 2) * min(5.0, (_STEP - 8) / max(1, count)), 1)
            words = f"{layer_title(site.site)}, head {head + 1}: {mean:.3g} {UNITS[measure]}, ± {spread:.2g} over pictures"
            dots.append(
                f'<g><title>{escaped(words)}</title><line class="interval" x1="{x}" x2="{x}" y1="{down(mean - spread)}" '
                f'y2="{down(mean + spread)}"/><circle cx="{x}" cy="{down(mean)}" r="2.6"/></g>'
            )
        dots.append(f'<text x="{centre}" y="{_TALL - 8}" text-anchor="middle">{place + 1}</text>')
    return (
        f'<svg class="dots" width="{wide}" height="{_TALL}" viewBox="0 0 {wide} {_TALL}" role="img" '
        f'aria-label="{measure} of {sum(len(site.mean[measure]) for site in sites)} heads in {len(sites)} layers">'
        f"{ticks}{''.join(dots)}</svg>"
    )
