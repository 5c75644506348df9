"""Whether maps lie on the object, method by method, against maps that know nothing of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from vizlib.figures.charts import GREY, Point, error_bar, framed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DASHES = ("dot", "dash", "dashdot")
_LINE = 15  # pixels between the names of the references, which stand above each other


def localisation_scores(
    methods: Mapping[str, Sequence[tuple[Point, bool]]], references: Sequence[tuple[str, float]], x_title: str, tick_format: str
) -> go.Figure:
    """A row for each model under its method's name; filled where it beats the centred Gaussian, outlined where it does not."""
    figure = go.Figure()
    ticks: dict[int, str] = {}
    row = 0
    for title, points in methods.items():
        ticks[row] = f"<b>{title}</b>"
        for point, beats in points:
            row += 1
            ticks[row] = point.mark.label
            colour, symbol = point.mark.colour, point.mark.symbol + ("" if beats else "-open")
            figure.add_scatter(
                x=[point.value],
                y=[row],
                error_x=error_bar([point], colour),
                mode="markers",
                marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 1.5, "color": colour}},
                hovertemplate=f"<b>{title}, {point.mark.label}</b><br>{point.note}<extra></extra>",
            )
        row += 1
    for number, (words, value) in enumerate(references):
        line = {"color": GREY, "dash": _DASHES[number % len(_DASHES)], "width": 1.5}
        figure.add_vline(x=value, line=line, annotation_text=words, annotation_position="top", annotation_yshift=_LINE * number)
    framed(
        figure,
        height=110 + _LINE * len(references) + 25 * max(3, row),
        x={"title": x_title, "tickformat": tick_format, "nticks": 7},
        y={"range": [row - 0.3, -0.8], "tickmode": "array", "tickvals": list(ticks), "ticktext": list(ticks.values()), "showgrid": False},
    )
    return figure.update_layout(margin={"t": 22 + _LINE * len(references)})
