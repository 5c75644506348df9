"""Which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from vizlib.figures.charts import GREY, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

# Paler means fewer, on light pages and on dark ones.
MISTAKES = [[0.0, "rgba(217,80,63,0.25)"], [1.0, "rgba(217,80,63,1)"]]
WRONG = "#D9503F"
RIGHT = "#1892A8"


def heat_map(counts: np.ndarray, classes: Sequence[str], picked: int | None = None) -> go.Figure:
    """Photographs of each class (rows) by the answer given (columns): right ones in blue, mistakes orange to red, none left blank."""
    names = list(classes)
    wrong = counts.astype(float)
    np.fill_diagonal(wrong, 0)
    right = np.where(np.eye(len(names), dtype=bool) & (counts > 0), counts, np.nan).astype(float)
    totals = counts.sum(1)
    words = np.array(
        [[f"{counts[row, column]} of {totals[row]}" for column in range(len(names))] for row in range(len(names))], dtype=object
    )
    hover = "shown <b>%{y}</b><br>answered <b>%{x}</b><br>%{customdata} photographs<extra></extra>"
    common = {"x": names, "y": names, "customdata": words, "hovertemplate": hover, "xgap": 1, "ygap": 1}
    figure = go.Figure()
    figure.add_heatmap(
        z=right, colorscale=[[0, "rgba(24,146,168,0.12)"], [1, RIGHT]], zmin=0, zmax=int(totals.max()), showscale=False, **common
    )
    bar = {"title": {"text": "mistakes", "side": "top"}, "orientation": "h", "thickness": 10, "len": 0.5, "outlinewidth": 0, "x": 1, "y": 1}
    bar |= {"xanchor": "right", "yanchor": "bottom", "tick0": 1, "dtick": max(1, round(wrong.max() / 5))}
    figure.add_heatmap(
        z=np.where(wrong > 0, wrong, np.nan), colorscale=MISTAKES, zmin=1, zmax=max(2, int(wrong.max())), colorbar=bar, **common
    )
    if picked is not None:
        last = len(names) - 0.5
        for x0, x1, y0, y1 in ((-0.5, last, picked - 0.5, picked + 0.5), (picked - 0.5, picked + 0.5, -0.5, last)):
            figure.add_shape(type="rect", x0=x0, x1=x1, y0=y0, y1=y1, line={"color": GREY, "width": 1.5})
    framed(
        figure,
        height=860,
        x={"title": "answer", "tickangle": -90, "tickfont": {"size": 10}, "showgrid": False},
        y={"title": "class of the photograph", "autorange": "reversed", "tickfont": {"size": 10}, "showgrid": False},
    )
    return figure


def answer_bars(names: Sequence[str], counts: Sequence[int], total: int, colour: str, right: str, x_title: str) -> go.Figure:
    """Bars of how many photographs went where, the most on top; the bar named ``right`` in blue."""
    figure = go.Figure()
    figure.add_bar(
        x=list(counts),
        y=list(names),
        orientation="h",
        marker={"color": [RIGHT if name == right else colour for name in names], "cornerradius": 3},
        text=[f"{count}" for count in counts],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"%{{y}}<br>%{{x}} of {total}<extra></extra>",
    )
    return framed(
        figure,
        height=90 + 26 * max(2, len(names)),
        x={"title": x_title, "range": [0, max([*counts, 1]) * 1.1], "tickformat": "d", "nticks": 6},
        y={"autorange": "reversed"},
    )
