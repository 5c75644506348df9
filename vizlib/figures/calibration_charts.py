"""Whether confidence can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plotly.subplots import make_subplots

from vizlib.figures.charts import FAINT, GREY, Mark, framed
from vizlib.figures.numbers import counted, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go


def reliability(
    mark: Mark, counts: Sequence[int], confidence: Sequence[float | None], right: Sequence[Sequence[float] | None], images: int
) -> go.Figure:
    """The share that is right, as (share, low, high), against the confidence given, by bins; below, how many answers each bin holds."""
    bins = len(counts)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip", row=1, col=1)
    rows = [(x, y, count) for x, y, count in zip(confidence, right, counts, strict=True) if x is not None and y is not None]
    figure.add_scatter(
        x=[x for x, _, _ in rows],
        y=[y[0] for _, y, _ in rows],
        error_y={
            "type": "data",
            "array": [y[2] - y[0] for _, y, _ in rows],
            "arrayminus": [y[0] - y[1] for _, y, _ in rows],
            "color": mark.colour,
            "thickness": 1.4,
            "width": 3,
        },
        mode="lines+markers",
        line={"color": mark.colour, "width": 2},
        marker={"size": 9, "symbol": mark.symbol},
        customdata=[f"{percent(y[1])} to {percent(y[2])}, 95 %)<br>{counted(count, 'photograph')}" for _, y, count in rows],
        hovertemplate="said %{x:.0%}, right %{y:.0%} (%{customdata}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_bar(
        x=[(number + 0.5) / bins for number in range(bins)],
        y=list(counts),
        width=0.92 / bins,
        marker={"color": FAINT},
        customdata=[counted(count, "photograph") for count in counts],
        hovertemplate="%{customdata}<extra></extra>",
        row=2,
        col=1,
    )
    figure.add_annotation(x=0.99, y=0.08, text="dotted: as right as it says", showarrow=False, xanchor="right", row=1, col=1)
    framed(figure, height=480, x={"range": [0, 1], "tickformat": ".0%"}, y={})
    figure.update_xaxes(title_text=f"confidence: probability of the answer ({bins} bins)", row=2, col=1)
    figure.update_yaxes(title_text="share right (95 %)", range=[0, 1.03], tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text=f"of {images:,}", nticks=3, row=2, col=1)
    return figure
