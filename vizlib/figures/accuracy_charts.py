"""Charts of shares with intervals: ranked, against a cost, and as curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from vizlib.figures.charts import Mark, Point, error_bar, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENT = ".0%"


def ranking(first: Sequence[Point], fifth: Sequence[Point], images: int) -> go.Figure:
    """Models from best to worst: the share whose first answer is right, and in outline that of the first five, each with its interval."""
    order = [point.mark.label for point in sorted(first, key=lambda point: point.value)]
    figure = go.Figure()
    for points, hollow, meaning in ((first, False, "first answer"), (fifth, True, "one of the first five")):
        for point in points:
            figure.add_scatter(
                x=[point.value],
                y=[point.mark.label],
                error_x=error_bar([point], point.mark.colour),
                mode="markers",
                marker={"size": 12, "color": point.mark.colour, "symbol": point.mark.symbol + ("-open" if hollow else "")},
                hovertemplate=f"<b>{point.mark.label}</b>, {meaning}<br>{point.note}<extra></extra>",
            )
    figure.add_annotation(
        x=0,
        y=1.0,
        xref="paper",
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
        text="filled: first answer · outlined: first five",
    )
    framed(
        figure,
        height=90 + 40 * max(2, len(order)),
        x={"title": f"share of {images:,} photographs right (95 %)", "tickformat": PERCENT},
        y={"categoryorder": "array", "categoryarray": order, "tickfont": {"size": 13}, "range": [-0.6, len(order) - 0.4]},
    )
    return figure.update_layout(margin={"t": 30})


def accuracy_against_cost(points: Sequence[Point], x_title: str, images: int) -> go.Figure:
    """The share that is right against what a model costs, one named point for each model."""
    figure = go.Figure()
    for point, place in zip(points, _places(points), strict=True):
        figure.add_scatter(
            x=[point.x],
            y=[point.value],
            error_y=error_bar([point], point.mark.colour),
            mode="markers+text",
            marker={"size": 12, "color": point.mark.colour, "symbol": point.mark.symbol},
            text=[point.mark.label.replace(" ", "<br>")],  # two lines find room where one would be cut on a telephone
            textposition=place,
            cliponaxis=False,
            hovertemplate=f"<b>{point.mark.label}</b><br>{point.note}<extra></extra>",
        )
    low, high = min(point.x for point in points), max(point.x for point in points)
    margin = 0.18 * (high - low) or 0.1 * high
    return framed(
        figure,
        height=420,
        x={"title": x_title, "range": [max(0.0, low - margin), high + 2 * margin]},
        y={"title": f"top-1 of {images:,} photographs (95 %)", "tickformat": PERCENT},
    )


def _places(points: Sequence[Point]) -> list[str]:
    """Names beside their points: on the left for the one of two close neighbours that lies further left."""
    width = max(point.x for point in points) - min(point.x for point in points) or 1.0
    height = max(point.high for point in points) - min(point.low for point in points) or 1.0
    places = []
    for point in points:
        crowded = any(
            other is not point and 0 <= other.x - point.x < 0.3 * width and abs(other.value - point.value) < 0.08 * height
            for other in points
        )
        places.append("middle left" if crowded else "middle right")
    return places


def curves(
    series: Sequence[tuple[Mark, Sequence[Point]]], x_title: str, images: int, *, log: bool = False, ticks: Sequence[float] = ()
) -> go.Figure:
    """A line for each model through its points, the best at the end named first; intervals as bars where they were measured."""
    figure, measured = go.Figure(), False
    for model, points in sorted(series, key=lambda line: -line[1][-1].value if line[1] else 0):
        spread = any(point.high > point.low for point in points)
        measured |= spread
        figure.add_scatter(
            x=[point.x for point in points],
            y=[point.value for point in points],
            error_y=error_bar(list(points), model.colour) if spread else None,
            name=model.label,
            mode="lines+markers",
            line={"color": model.colour, "width": 2},
            marker={"size": 10 if spread else 6, "symbol": model.symbol, "color": model.colour},
            customdata=[point.note for point in points],
            hovertemplate="<b>" + model.label + "</b><br>%{customdata}<extra></extra>",
        )
    x: dict[str, Any] = {"title": x_title, "type": "log" if log else "linear"}
    if ticks:
        x |= {"tickmode": "array", "tickvals": list(ticks), "ticktext": [f"{tick:,.0f}" for tick in ticks]}
    title = f"top-1 of {images:,} photographs{' (95 %)' if measured else ''}"
    return framed(figure, height=440, x=x, y={"title": title, "tickformat": PERCENT}, legend=True)
