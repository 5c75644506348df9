"""The small charts of a report, of elements that every page takes: a value with its interval, and the heads of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.html_page import escaped
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.overview.head_means import SiteMeans

_STEP, _TALL, _LEFT = 34, 190, 40  # of a chart: pixels a layer, its height, and the room of its axis
UNITS = {"distance": "px", "entropy": "bits"}


def interval_bar(value: float, left: float, right: float, *, low: float = 0.0, high: float = 1.0, reference: float | None = None) -> str:
    """A value with its interval, and a reference, on a line from ``low`` to ``high``."""

    def place(number: float) -> float:
        return round(100 * min(1.0, max(0.0, (number - low) / (high - low))), 1)

    known = np.isfinite(left) and np.isfinite(right)
    width = max(0.0, round(place(right) - place(left), 1)) if known else 0.0
    bar = f'<span class="interval" style="left:{place(left)}%;width:{width}%"></span>' if known else ""
    beside = "" if reference is None else f'<span class="reference" style="left:{place(reference)}%"></span>'
    return f'<span class="bar" aria-hidden="true">{beside}{bar}<span class="dot" style="left:{place(value)}%"></span></span>'


def site_dots(sites: Sequence[SiteMeans], measure: str) -> str:
    """A column for each attention: a dot for each head at its mean, with a line of one standard deviation to both sides."""
    top = max(float((site.mean[measure] + site.deviation[measure]).max()) for site in sites) or 1.0
    wide = _LEFT + _STEP * len(sites) + 8

    def down(value: float) -> float:
        return round(8 + (_TALL - 8) * (1 - max(0.0, value) / top), 1)

    parts = [
        f'<span class="tick" style="top:{down(value)}px;left:{_LEFT}px"></span>'
        f'<span class="word" style="top:{down(value) - 8}px;left:0;width:{_LEFT - 6}px;text-align:right">{value:.3g}</span>'
        for value in (0.0, top / 2, top)
    ]
    for place, site in enumerate(sites):
        centre, count = _LEFT + _STEP * (place + 0.5), len(site.mean[measure])
        for head, (mean, spread) in enumerate(zip(site.mean[measure], site.deviation[measure], strict=True)):
            x = round(centre + (head - (count - 1) / 2) * min(6.0, (_STEP - 8) / count), 1)
            words = f"{layer_title(site.site)}, head {head + 1}: {mean:.3g} {UNITS[measure]}, ± {spread:.2g} over pictures"
            high = round(down(mean - spread) - down(mean + spread), 1)
            parts.append(
                f'<span class="spread" style="left:{x}px;top:{down(mean + spread)}px;height:{high}px"></span>'
                f'<span class="dot" style="left:{x}px;top:{down(mean)}px" title="{escaped(words)}"></span>'
            )
        parts.append(f'<span class="word" style="top:{_TALL + 6}px;left:{centre - 12}px;width:24px;text-align:center">{place + 1}</span>')
    heads = sum(len(site.mean[measure]) for site in sites)
    label = f"{measure} of {counted(heads, 'head')} in {counted(len(sites), 'layer')}"
    return f'<div class="dots" role="img" aria-label="{label}" style="width:{wide}px;height:{_TALL + 24}px">{"".join(parts)}</div>'


def step_dots(
    columns: Sequence[Sequence[tuple[str, float, float, float]]],
    titles: Sequence[str],
    low: float,
    high: float,
    colours: Sequence[str] = (),
) -> str:
    """A column for each model of a series: a dot for each (words, value, lower end, upper end), pale to strong from first to last.

    ``colours`` are those of the columns, empty for the usual one.
    """
    step = max(_STEP, min(90, 900 // max(1, len(columns))))
    wide, span = _LEFT + step * len(columns) + 8, (high - low) or 1.0

    def down(value: float) -> float:
        return round(8 + (_TALL - 8) * (1 - min(1.0, max(0.0, (value - low) / span))), 1)

    parts = [
        f'<span class="tick" style="top:{down(value)}px;left:{_LEFT}px"></span>'
        f'<span class="word" style="top:{down(value) - 8}px;left:0;width:{_LEFT - 6}px;text-align:right">{value:.3g}</span>'
        for value in (low, (low + high) / 2, high)
    ]
    own = colours or [""] * len(columns)
    for place, (column, title, colour) in enumerate(zip(columns, titles, own, strict=True)):
        centre = _LEFT + step * (place + 0.5)
        parts.append(f'<span style="--mark:{colour}">' if colour else "<span>")
        for number, (words, value, lower, upper) in enumerate(column):
            x = round(centre + (number - (len(column) - 1) / 2) * min(7.0, (step - 10) / len(column)), 1)
            shade = round(0.35 + 0.65 * (number + 1) / len(column), 2)
            if np.isfinite(lower) and np.isfinite(upper):
                tall = max(1.0, round(down(lower) - down(upper), 1))
                parts.append(f'<span class="spread" style="left:{x}px;top:{down(upper)}px;height:{tall}px"></span>')
            parts.append(f'<span class="dot" style="left:{x}px;top:{down(value)}px;opacity:{shade}" title="{escaped(words)}"></span>')
        parts.append("</span>")
        short = escaped(title.rpartition("=")[2][-14:] if "=" in title else title)
        parts.append(
            f'<span class="word cut" style="top:{_TALL + 6}px;left:{centre - step / 2}px;width:{step}px;text-align:center" '
            f'title="{escaped(title)}">{short}</span>'
        )
    return f'<div class="dots" role="img" style="width:{wide}px;height:{_TALL + 24}px">{"".join(parts)}</div>'
