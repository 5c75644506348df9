"""The section of a report that goes from model to model, as from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.auditing.report.charts import interval_bar, step_dots
from vizlib.auditing.report.html_parts import Section, share_cell, table_html
from vizlib.auditing.report.names import shown_names
from vizlib.figures.html_page import escaped
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import decimal, points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.model_series import ModelStep
    from vizlib.auditing.report.names import ShownNames
    from vizlib.stats import Estimate


def series_section(view: Overview) -> Section | None:
    """Each model in the order of the audit, against the last; None for one alone."""
    if view.series is None:
        return None
    shown = shown_names(view.facts)
    steps, last = view.series.steps, shown.models[view.models[-1]]
    tabs = [("Numbers", _numbers(steps, view.methods, shown))]
    distance = [_dots(step.distance, "px") for step in steps]
    if any(distance):
        top = max(value for column in distance for _, value, _, _ in column)
        tabs.append(("Attention distance by layer", _chart(distance, view.models, shown, (0.0, top), "pixels, means of heads")))
    cka = [_dots(step.cka, "") for step in steps[:-1]]
    if any(cka):
        low = min(0.0, *(value for column in cka for _, value, _, _ in column))
        caption = f"CKA of each layer to the same layer of {last}: 1 arranges the pictures alike"
        tabs.append(("CKA to the last by layer", _chart(cka, view.models[:-1], shown, (low, 1.0), caption)))
    missing = shown.told(" ".join(view.series.missing.values()))
    return Section(
        "From model to model",
        f"The models in the order of the audit, each against the last, {last}.{_epochs_words(steps)}",
        tuple(tabs),
        f"How far maps lie apart is half the sum of |a - b| of their cells' evidence for what is explained: 0 alike, 1 without a cell in "
        f"common. {missing}".strip(),
    )


def _epochs_words(steps: Sequence[ModelStep]) -> str:
    """What to look at in the epochs of one run, where their answers have been right or wrong."""
    if all(step.right is None for step in steps):
        return ""
    return " Where they are epochs of one run, look at where accuracy still grows while the maps no longer change, and the other way round."


def _numbers(steps: Sequence[ModelStep], methods: Sequence[str], shown: ShownNames) -> str:
    heads = ["model", "right", *(f"{shown.methods[method]}: from the last" for method in methods)]
    boxed = any(step.gain for step in steps)
    heads += [f"{shown.methods[method]}: on the object beyond even" for method in methods] if boxed else []
    rows = []
    for step in steps:
        cells = [escaped(shown.models[step.model]), share_cell(step.right), *(_apart(step.apart.get(method)) for method in methods)]
        cells += [_gain(step.gain.get(method)) for method in methods] if boxed else []
        rows.append(cells)
    return table_html(heads, rows, [shown.colours.get(step.model, "") for step in steps])


def _apart(estimate: Estimate | None) -> str:
    if estimate is None:
        return "<span class='exactly'>–</span>"
    ends = f"{estimate[1]:.2f} to {estimate[2]:.2f}" if np.isfinite(estimate[1]) else "one picture"
    return f"{interval_bar(*estimate)}<b>{estimate[0]:.2f}</b> <span class='exactly'>{ends}</span>"


def _gain(estimate: Estimate | None) -> str:
    if estimate is None:
        return "<span class='exactly'>no box</span>"
    known: tuple[float, ...] = estimate[1:] if np.isfinite(estimate[1]) else ()
    gain, _, ends = points(estimate[0], *known, digits=1).partition(" (")
    return f"<b>{gain}</b> <span class='exactly'>({ends or 'one picture)'}</span>"


def _dots(values: Mapping[str, float | Estimate], unit: str) -> list[tuple[str, float, float, float]]:
    dots = []
    for layer, value in values.items():
        middle, low, high = value if isinstance(value, tuple) else (value, np.nan, np.nan)
        ends = f" ({decimal(low)} to {decimal(high)})" if np.isfinite(low) else ""
        written = f"{middle:.3g}".replace("-", "\u2212")
        dots.append((" ".join(filter(None, (f"{layer_title(layer)}: {written}", unit))) + ends, middle, low, high))
    return dots


def _chart(
    columns: Sequence[Sequence[tuple[str, float, float, float]]], models: Sequence[str], shown: ShownNames, span: tuple[float, float],
    caption: str,
) -> str:  # fmt: skip
    words = f"{caption}; layers from left, pale, to right in each column, their names on hover."
    chart = step_dots(columns, [shown.models[name] for name in models], *span, [shown.colours.get(name, "") for name in models])
    return f"<figure>{chart}<figcaption>{escaped(words)}</figcaption></figure>"
