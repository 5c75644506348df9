"""Charts of what models make of a picture that is changed: curves over strengths, drift by layer, and the pictures in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vizlib.figures.charts import GREY, framed
from vizlib.figures.picture_words import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.figures.charts import Mark

_SIDE, _GAP, _LINE = 96, 6, 22
_BETWEEN = 34  # pixels, for a title
_CEILING = 1.5


def curves(
    lines: Sequence[tuple[Mark, Sequence[float]]], words: Sequence[str], titles: tuple[str, str], at: int, *, tick_format: str = ".0%"
) -> go.Figure:
    """A line a model over the strengths named ``words``, evenly spaced in their order, and a rule where the slider stands.

    ``titles`` are those of the axes, x first.
    """
    figure = go.Figure()
    places = list(range(len(words)))
    for mark, values in lines:
        figure.add_scatter(
            x=places, y=list(values), name=mark.label, mode="lines+markers", customdata=list(words),
            line={"color": mark.colour, "width": 2}, marker={"size": 7, "symbol": mark.symbol, "color": mark.colour}, cliponaxis=False,
            hovertemplate=f"<b>{mark.label}</b> %{{customdata}}<br>%{{y:{tick_format}}}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=at, line={"color": GREY, "width": 1, "dash": "dot"})
    y: dict[str, Any] = {"title": titles[1], "tickformat": tick_format, "rangemode": "tozero"}
    return framed(figure, height=340, x=_strengths(words) | {"title": titles[0]}, y=y, legend=True)


def drift_maps(models: Sequence[tuple[Mark, Sequence[str], np.ndarray]], words: Sequence[str]) -> go.Figure:
    """Drift (L, S) of each model as a heat map, layers upwards, strengths to the right, one scale for all; blank where not measured."""
    counts = [len(names) for _, names, _ in models]
    height = 90 + 20 * sum(counts) + _BETWEEN * len(models)
    figure = make_subplots(
        rows=len(models), cols=1, shared_xaxes=True, row_heights=counts, vertical_spacing=_BETWEEN / height,
        subplot_titles=[mark.label for mark, _, _ in models],
    )  # fmt: skip
    for row, (_, names, drift) in enumerate(models, 1):
        figure.add_trace(
            go.Heatmap(
                z=drift, x=list(range(len(words))), y=list(names), zmin=0, zmax=_CEILING, coloraxis="coloraxis",
                customdata=np.broadcast_to(np.array(list(words)), drift.shape), hoverongaps=False,
                hovertemplate="%{y}, %{customdata}<br>drift <b>%{z:.2f}</b><extra></extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
    framed(figure, height=height, x=_strengths(words) | {"showgrid": False}, y={"showgrid": False, "tickfont": {"size": 10}})
    bar = {"title": "drift", "thickness": 10, "outlinewidth": 0, "tickvals": [0, 0.5, 1, _CEILING]}
    bar["ticktext"] = ["0", "0.5", "1", f"{_CEILING:g} and more"]
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    return figure.update_layout(coloraxis={"colorscale": "Viridis", "cmin": 0, "cmax": _CEILING, "colorbar": bar}, margin={"t": 30})


def strip(rows: Sequence[tuple[str, np.ndarray, Sequence[str]]]) -> np.ndarray:
    """Pictures uint8 (S, h, w, 3) in a row for each title, a line of text below each: uint8 (H, W, 3) on white."""
    from PIL import Image, ImageDraw

    most = max(len(pictures) for _, pictures, _ in rows)
    tall = _LINE + _SIDE + _LINE + _GAP
    canvas = Image.new("RGB", (most * (_SIDE + _GAP) + _GAP, len(rows) * tall + _GAP), "white")
    pen = ImageDraw.Draw(canvas)
    for row, (title, pictures, notes) in enumerate(rows):
        top = row * tall
        write(pen, (_GAP, top + 4), title, 13)
        for place, (pixels, note) in enumerate(zip(pictures, notes, strict=True)):
            left = _GAP + place * (_SIDE + _GAP)
            canvas.paste(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left, top + _LINE))
            write(pen, (left, top + _LINE + _SIDE + 3), note, 13)
    return np.asarray(canvas)


def _strengths(words: Sequence[str]) -> dict[str, Any]:
    step = max(1, -(-len(words) // 9))
    shown = list(range(0, len(words), step))
    return {
        "tickmode": "array",
        "tickvals": shown,
        "ticktext": [words[index].replace("\u00a0", " ").split(" of ")[0].split(" cycles")[0] for index in shown],
    }
