"""What all charts share: how a model is marked, and a frame that is quiet and fits light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Each has at least three times the contrast of a near-white and of a near-black page; the symbols tell them apart without colour.
COLOURS = ("#2F7ED8", "#1892A8", "#2C9A4B", "#C77C02", "#D9503F", "#8C63D6", "#D14C9B", "#7B858C")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "hexagon")
GREY = "#7B858C"
FAINT = "rgba(123,133,140,0.35)"
CONFIG = {"displayModeBar": False, "scrollZoom": False}


@dataclass(frozen=True)
class Mark:
    """How one model looks in every chart."""

    label: str
    colour: str
    symbol: str


def mark(label: str, number: int) -> Mark:
    """The mark of the model that is ``number`` in the one order of all models."""
    return Mark(label, COLOURS[number % len(COLOURS)], SYMBOLS[number % len(SYMBOLS)])


@dataclass(frozen=True)
class Point:
    """A measured value with its 95 % interval, at x where there is one; ``note`` is read on hover."""

    mark: Mark
    value: float
    low: float
    high: float
    x: float = 0.0
    note: str = ""


def error_bar(points: list[Point], colour: str) -> dict[str, Any]:
    """Plotly's asymmetric error bar for these points, from ``low`` to ``high`` of each."""
    return {
        "type": "data",
        "array": [point.high - point.value for point in points],
        "arrayminus": [point.value - point.low for point in points],
        "color": colour,
        "thickness": 1.6,
        "width": 4,
    }


def framed(figure: go.Figure, *, height: int, x: dict[str, Any], y: dict[str, Any], legend: bool = False) -> go.Figure:
    """The figure with axes ``x`` and ``y``, little margin, and its legend above it where it has one."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 40 if legend else 12, "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0, "itemsizing": "constant"},
        hoverlabel={"align": "left"},
        dragmode=False,
    )
    figure.update_xaxes(automargin=True, zeroline=False, **x)
    figure.update_yaxes(automargin=True, zeroline=False, **y)
    return figure
