"""Charts of a comparison: CKA as heat maps, measures along depth, channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from vizlib.figures.charts import Mark, framed
from vizlib.figures.numbers import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

DEPTH = "relative depth (1 is the last layer)"
DASHES = ("solid", "dot", "dash")
_CELL = 26
_SCALE = 40  # pixels of a scale above its map
_TITLE, _LETTER = 34, 5.4  # pixels of an axis's title with its distance, and of a letter of a name
_MOST_NAMES = 14  # under the narrowest map, 296 px, where a name takes 13 px


@dataclass(frozen=True)
class Curve:
    """One line along depth; ``names`` are read on hover, ``error`` is half the length of its bars, ``dash`` a number in DASHES."""

    mark: Mark
    depth: Sequence[float]
    values: Sequence[float]
    names: Sequence[str]
    error: Sequence[float] | None = None
    label: str = ""
    dash: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


def along_depth(
    curves: Sequence[Curve], y_title: str, *, tick_format: str = ".2f", dots: Sequence[Curve] = (), zero: bool = False
) -> go.Figure:
    """Lines with a marker a layer, and ``dots`` without lines, such as the heads of each layer."""
    figure = go.Figure()
    for curve in dots:
        figure.add_scatter(
            x=list(curve.depth),
            y=list(curve.values),
            customdata=list(curve.names),
            name=escape(curve.label or curve.mark.label),
            mode="markers",
            marker={"size": 7, "symbol": curve.mark.symbol, "color": curve.mark.colour, "opacity": 0.75},
            hovertemplate=f"<b>{escape(curve.mark.label)}</b> %{{customdata}}<br>%{{y:{tick_format}}}<extra></extra>",
        )
    for curve in curves:
        colour = curve.mark.colour
        bars = None if curve.error is None else {"type": "data", "array": list(curve.error), "color": colour, "thickness": 1.2, "width": 3}
        figure.add_scatter(
            x=list(curve.depth),
            y=list(curve.values),
            error_y=bars,
            customdata=[f"{name}<br>{note}" if note else name for name, note in _noted(curve)],
            name=escape(curve.label or curve.mark.label),
            mode="lines+markers",
            cliponaxis=False,
            line={"color": colour, "width": 2, "dash": DASHES[curve.dash]},
            marker={"size": 7, "symbol": curve.mark.symbol + ("-open" if curve.dash else ""), "color": colour},
            hovertemplate=f"<b>{escape(curve.mark.label)}</b> %{{customdata}}<br>%{{y:{tick_format}}}<extra></extra>",
        )
    y: dict[str, object] = {"title": y_title, "tickformat": tick_format}
    if zero:
        y["rangemode"] = "tozero"
    lines = len(curves) + len(dots)  # named one below another on a narrow screen, which takes from the chart's room
    return framed(figure, height=360 + 16 * max(0, lines - 4), x={"title": DEPTH, "range": [0, 1.04]}, y=y, legend=True)


def alignment_map(
    value: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    row_title: str,
    column_title: str,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> go.Figure:
    """CKA of the layers of one model (rows, from the bottom up) with those of another (columns), 0 to 1, its interval on hover."""
    words = [
        [
            f"{row_title} {row_name}<br>{column_title} {column_name}<br><b>{_interval(value, low, high, i, j)}</b>"
            for j, column_name in enumerate(columns)
        ]
        for i, row_name in enumerate(rows)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=value,
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            customdata=words,
            zmin=0,
            zmax=1,
            colorscale="Viridis",
            colorbar={
                "orientation": "h", "thickness": 10, "outlinewidth": 0, "tickvals": [0, 0.5, 1], "ticktext": ["CKA 0", "0.5", "1"],
                "x": 0, "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top",
            },
            hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    step = math.ceil(len(columns) / _MOST_NAMES)
    framed(
        figure,
        height=max(240, 140 + _CELL * len(rows)) + _SCALE,
        x=_named(columns, column_title, step) | {"tickangle": 90 if len(columns) > 3 else "auto"},
        y=_named(rows, row_title, 1),
    )
    return figure.update_layout(margin_t=12 + _SCALE)


def room_for_names(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    """A heat map with room for the longest of these names beside and below it, so that others with it have cells of the same size."""
    room = _TITLE + _LETTER * max(map(len, names))
    return figure.update_layout(margin_l=room, margin_b=room)


def without_scale(figure: go.Figure) -> go.Figure:
    """A heat map beside one that has the scale of both."""
    figure.update_traces(showscale=False, selector={"type": "heatmap"})
    return figure.update_layout(height=figure.layout.height - _SCALE, margin_t=12)


def _named(names: Sequence[str], title: str, step: int) -> dict[str, Any]:
    """An axis of cells, every ``step``-th with its name."""
    return {
        "title": {"text": title, "standoff": 14},
        "tickmode": "array",
        "tickvals": list(range(0, len(names), step)),
        "ticktext": list(names[::step]),
        "range": [-0.6, len(names) - 0.4],  # with room for the frame of a cell at the edge
        "showgrid": False,
    }


def clickable(figure: go.Figure, chosen: tuple[int, int] | None = None) -> go.Figure:
    """A heat map with an invisible point on each cell, which a click selects where cells cannot be; the chosen (row, column) is framed."""
    heat = figure.data[0]
    rows, columns = len(heat.y), len(heat.x)
    hidden = {"marker": {"opacity": 0}}
    figure.add_scatter(
        x=[column for _ in range(rows) for column in range(columns)],
        y=[row for row in range(rows) for _ in range(columns)],
        text=[words for row in heat.customdata for words in row],
        mode="markers",
        marker={"size": _CELL, "symbol": "square", "opacity": 0},
        selected=hidden,
        unselected=hidden,
        showlegend=False,
        hovertemplate="%{text}<extra></extra>",
    )
    if chosen is not None:
        row, column = chosen
        for colour, width in (("#000000", 4), ("#ffffff", 2)):
            figure.add_shape(
                type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line={"color": colour, "width": width}
            )
    return figure


def channel_bars(groups: Sequence[tuple[Mark, Sequence[str], Sequence[float], Sequence[float]]]) -> go.Figure:
    """Bars a layer: dead channels, hatched, and exploding ones above them, as shares in percent."""
    figure = go.Figure()
    for model, names, dead, exploding in groups:
        labels = [f"{model.label} {name}" for name in names]
        for state, values, pattern in (("dead", dead, "/"), ("exploding", exploding, "")):
            figure.add_bar(
                x=labels,
                y=list(values),
                name=f"{model.label}: {state}",
                marker={"color": model.colour, "cornerradius": 2, "pattern": {"shape": pattern}},
                hovertemplate=f"%{{x}}<br>{state} %{{y:.1%}}<extra></extra>",
            )
    framed(
        figure,
        height=340,
        x={"tickangle": -60, "tickfont": {"size": 10}},
        y={"title": "share of channels", "tickformat": ".3~%"},  # a few channels of many: steps of less than 1 %
        legend=True,
    )
    return figure.update_layout(barmode="stack")


def _noted(curve: Curve) -> list[tuple[str, str]]:
    notes = curve.notes or [""] * len(curve.names)
    return list(zip(curve.names, notes, strict=True))


def _interval(value: np.ndarray, low: np.ndarray | None, high: np.ndarray | None, row: int, column: int) -> str:
    cell = float(value[row, column])
    if not math.isfinite(cell):
        return "none: one of them is the same in all pictures"
    if low is None or high is None or not math.isfinite(low[row, column] + high[row, column]):
        return decimal(cell)
    return f"{decimal(cell)} ({decimal(float(low[row, column]))} to {decimal(float(high[row, column]))})"
