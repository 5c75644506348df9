"""Charts of attributions: how alike maps are, and how the answer falls and rises as pixels go and come in a map's order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from vizlib.figures.charts import COLOURS, GREY, framed
from vizlib.figures.colormaps import diverging
from vizlib.figures.numbers import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = 34


def agreement_map(values: np.ndarray, titles: Sequence[str]) -> go.Figure:
    """Rank correlations (M, M) of maps as a heat map with numbers, first map on top; blank where a map is constant."""
    count = len(titles)
    words = [
        [
            f"{row_title}<br>{column_title}<br><b>"
            + ("a constant map has no ranks" if np.isnan(value) else f"rank correlation {decimal(value)}")
            + "</b>"
            for column_title, value in zip(titles, row, strict=True)
        ]
        for row_title, row in zip(titles, values, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(count)),
            y=list(range(count)),
            customdata=words,
            text=[["" if np.isnan(value) else _short(value) for value in row] for row in values],
            texttemplate="%{text}",
            textfont={"size": 11, "color": "#000000"},  # plotly's own choice of grey or white is too near to most of these colours
            zmin=-1,
            zmax=1,
            colorscale=_diverging(),
            xgap=1,
            ygap=1,
            showscale=False,
            hoverongaps=False,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    ticks = {"tickmode": "array", "tickvals": list(range(count)), "ticktext": list(titles), "showgrid": False, "ticks": ""}
    return framed(
        figure,
        height=130 + _CELL * max(3, count),
        x=ticks | {"tickangle": -50, "tickfont": {"size": 11}, "range": [-0.5, count - 0.5]},
        y=ticks | {"tickfont": {"size": 11}, "range": [count - 0.5, -0.5]},
    )


def removal_curve(
    share: np.ndarray,
    map_curve: tuple[np.ndarray, np.ndarray, np.ndarray],
    random_band: tuple[np.ndarray, np.ndarray] | None,
    gaussian: np.ndarray | None,
    title: str,
    *,
    insert: bool,
) -> go.Figure:
    """The class probability over the share of pixels taken away, or given back, all (S,) over ``share`` (S,).

    ``map_curve`` is the mean over baselines with its least and most, ``random_band`` that of random maps, ``gaussian`` the curve of
    a Gaussian in the middle.
    """
    figure = go.Figure()
    x = [*share, *share[::-1]]
    lines = [*map_curve, *(random_band or ()), *([] if gaussian is None else [gaussian])]
    digits = _tick_digits(100 * max(float(line.max()) for line in lines))
    if random_band is not None:
        figure.add_scatter(
            x=x, y=[*random_band[1], *random_band[0][::-1]], fill="toself", fillcolor="rgba(123,133,140,0.22)", line={"width": 0},
            name="random maps, 5 to 95 %", hoverinfo="skip",
        )  # fmt: skip
    middle, low, high = map_curve
    colour = COLOURS[0]
    figure.add_scatter(
        x=x, y=[*high, *low[::-1]], fill="toself", fillcolor="rgba(47,126,216,0.20)", line={"width": 0}, name="over baselines",
        hoverinfo="skip",
    )  # fmt: skip
    if gaussian is not None:
        figure.add_scatter(
            x=share, y=gaussian, mode="lines", line={"color": GREY, "width": 1.5, "dash": "dot"}, name="Gaussian in the middle",
            hovertemplate=f"%{{x:.0%}}: %{{y:.{digits + 1}%}}<extra>Gaussian</extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=share, y=middle, mode="lines", line={"color": colour, "width": 2.5}, name=title,
        hovertemplate=f"%{{x:.0%}}: <b>%{{y:.{digits + 1}%}}</b><extra></extra>",
    )  # fmt: skip
    action = "given back" if insert else "taken away"
    framed(
        figure,
        height=330,
        x={"title": f"share of pixels {action}, highest first", "tickformat": ".0%", "range": [0, 1]},
        y={"title": "probability", "tickformat": f".{digits}~%", "rangemode": "tozero"},
        legend=True,
    )
    return figure.update_layout(legend={"font": {"size": 11}})


def _tick_digits(highest: float) -> int:
    """So many digits behind the point as tell the ticks of an axis from 0 apart that ends at ``highest``."""
    return max(0, 1 - math.floor(math.log10(highest))) if highest > 0 else 0


def _short(value: float) -> str:
    """Two digits without the nought before the point, so that they fit a small cell; 1 is the same order, and what is near it is not."""
    text = decimal(value)
    if text.endswith("1.00"):
        return text.removesuffix(".00") if abs(value) == 1 else f"\u2248{text.removesuffix('.00')}"
    return "0" if text == "0.00" else text.replace("0.", ".", 1)


def _diverging() -> list[list[object]]:
    table = np.frombuffer(diverging(), np.uint8).reshape(256, 3)
    # The table's ends are dark: numbers are read on what lies between.
    places = np.linspace(0, 1, 21)
    return [[float(place), "rgb({},{},{})".format(*table[round(255 * (0.5 + 0.75 * (place - 0.5)))])] for place in places]
