"""Which charts a comparison draws, and from which of its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from vizlib.compare import text
from vizlib.figures import model_marks
from vizlib.figures.comparison_charts import Curve, alignment_map, along_depth, channel_bars
from vizlib.figures.layer_names import layer_title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import plotly.graph_objects as go

    from vizlib.compare.result import Comparison, ModelMeasures
    from vizlib.compare.text import ChartText
    from vizlib.figures.charts import Mark


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure, its words, and why some model is not in it."""

    text: ChartText
    figure: go.Figure
    missing: list[str] = field(default_factory=list)


def charts(comparison: Comparison) -> dict[str, Chart]:
    """The charts along depth by name, in the order of a page; one that would be empty is left out."""
    marks = marks_of(comparison)
    makers: dict[str, Callable[[Comparison, list[Mark]], Chart | None]] = {
        "distance": _distance, "entropy": _entropy, "spectrum": _spectrum, "similarity": _similarity, "rank": _rank, "branches": _branches,
        "norm": _norm, "channels": _channels,
    }  # fmt: skip
    return {name: chart for name, make in makers.items() if (chart := make(comparison, marks)) is not None}


def marks_of(comparison: Comparison) -> list[Mark]:
    """How each model looks in every chart: label, colour and symbol, in the order of the comparison."""
    models = comparison.models
    return model_marks.marks_of([model.name for model in models], [model.display_name for model in models])


def cka_charts(comparison: Comparison) -> dict[str, dict[str, go.Figure]]:
    """The heat maps by "reading/kernel" and by "first-second", the numbers of two models."""
    figures: dict[str, dict[str, go.Figure]] = {}
    for reading, kernel in comparison.cka:
        figures[f"{reading}/{kernel}"] = {
            f"{first}-{second}": cka_chart(comparison, first, second, reading, kernel)
            for first, second in combinations_with_replacement(range(len(comparison.models)), 2)
        }
    return figures


def cka_chart(comparison: Comparison, first: int, second: int, reading: str = "tokens", kernel: str = "linear") -> go.Figure:
    """CKA of all layers of one model (rows) with those of another, 0 to 1; MethodError where it was not measured."""
    alignment, (rows, columns) = comparison.between(first, second, reading, kernel), (comparison.models[first], comparison.models[second])
    names = [[layer_title(layer.name) for layer in model.layers] for model in (rows, columns)]
    return alignment_map(alignment.value, names[0], names[1], rows.display_name, columns.display_name, alignment.low, alignment.high)


def _depths(model: ModelMeasures) -> list[float]:
    return [layer.depth for layer in model.layers]


def _curve(model: ModelMeasures, model_mark: Mark, values: Iterable[float], **options: object) -> Curve:
    titles = [layer_title(layer.name) for layer in model.layers]
    return Curve(model_mark, _depths(model), [float(value) for value in values], titles, **options)  # type: ignore[arg-type]


def _distance(comparison: Comparison, marks: list[Mark]) -> Chart | None:
    curves, dots, missing = [], [], []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        sites = [site for site in model.heads if np.isfinite(site.distance).all()]
        if sites:
            dots.append(
                Curve(
                    model_mark,
                    [site.depth for site in sites for _ in site.distance],
                    [float(distance) / model.diagonal for site in sites for distance in site.distance],
                    [f"{layer_title(site.name)}, head {head + 1}" for site in sites for head in range(len(site.distance))],
                    label=f"{model.display_name}: heads",
                )
            )
        for fields, kind, dash in ((model.fields, "receptive field", 0), (model.operator, "architecture alone", 1)):
            if fields:
                curves.append(
                    _curve(
                        model,
                        model_mark,
                        [receptive_field.reach / model.diagonal for receptive_field in fields],
                        label=f"{model.display_name}: {kind}",
                        dash=dash,
                    )
                )
        missing += _missing_reason(model, "fields")
    return Chart(text.DISTANCE, along_depth(curves, "share of the diagonal", tick_format=".0%", dots=dots, zero=True), missing)


def _entropy(comparison: Comparison, marks: list[Mark]) -> Chart | None:
    dots, missing = [], []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        if model.heads:
            names = [f"{layer_title(site.name)}, head {head + 1}" for site in model.heads for head in range(len(site.entropy))]
            depth = [site.depth for site in model.heads for _ in site.entropy]
            dots.append(Curve(model_mark, depth, [float(entropy) for site in model.heads for entropy in site.entropy], names))
        missing += _missing_reason(model, "heads")
    return Chart(text.ENTROPY, along_depth([], "bits", dots=dots, zero=True), missing) if dots else None


def _spectrum(comparison: Comparison, marks: list[Mark]) -> Chart:
    curves = [_curve(model, model_mark, model.high_frequency) for model, model_mark in zip(comparison.models, marks, strict=True)]
    return Chart(text.SPECTRUM, along_depth(curves, "log amplitude, highest over zero"))


def _similarity(comparison: Comparison, marks: list[Mark]) -> Chart:
    curves = []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        error = None if "similarity" in comparison.missing else [2 * float(value) for value in model.similarity_error]
        curves.append(_curve(model, model_mark, model.similarity, error=error))
    missing = [comparison.missing["similarity"]] if "similarity" in comparison.missing else []
    return Chart(text.SIMILARITY, along_depth(curves, "mean cosine of tokens"), missing)


def _rank(comparison: Comparison, marks: list[Mark]) -> Chart:
    curves, missing = [], []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        missing += _missing_reason(model, "rank")
        notes = [
            f"effective rank {rank:.0f} of {layer.channels}, stable rank {stable:.1f}"
            for layer, rank, stable in zip(model.layers, model.rank, model.stable_rank, strict=True)
        ]
        curves.append(
            _curve(model, model_mark, [rank / layer.channels for rank, layer in zip(model.rank, model.layers, strict=True)], notes=notes)
        )
        most = [min(1.0, (model.rank_rows - 1) / layer.channels) for layer in model.layers]
        if min(most) < 1:
            curves.append(_curve(model, model_mark, most, label=f"{model.display_name}: at most, from {model.rank_rows} tokens", dash=1))
    return Chart(text.RANK, along_depth(curves, "effective rank over channels", tick_format=".0%", zero=True), missing)


def _branches(comparison: Comparison, marks: list[Mark]) -> Chart | None:
    curves, missing = [], []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        if model.branches:
            count = len(model.branches)
            curves.append(
                Curve(
                    model_mark,
                    [(number + 1) / count for number in range(count)],
                    list(model.branches.values()),
                    [layer_title(name) for name in model.branches],
                )
            )
        missing += _missing_reason(model, "branches")
    return Chart(text.BRANCHES, along_depth(curves, "share that is passed on", tick_format=".0%"), missing) if curves else None


def _norm(comparison: Comparison, marks: list[Mark]) -> Chart:
    curves = [_curve(model, model_mark, model.norm) for model, model_mark in zip(comparison.models, marks, strict=True)]
    return Chart(text.NORM, along_depth(curves, "mean length", tick_format=".1f", zero=True))


def _channels(comparison: Comparison, marks: list[Mark]) -> Chart | None:
    if not any(model.dead.any() or model.exploding.any() for model in comparison.models):
        return None
    groups = []
    for model, model_mark in zip(comparison.models, marks, strict=True):
        channels = np.array([layer.channels for layer in model.layers])
        groups.append(
            (
                model_mark,
                [layer_title(layer.name) for layer in model.layers],
                (model.dead / channels).tolist(),
                (model.exploding / channels).tolist(),
            )
        )
    return Chart(text.CHANNELS, channel_bars(groups))


def _missing_reason(model: ModelMeasures, measure: str) -> list[str]:
    return [f"{model.display_name}: {model.missing[measure].rstrip('.')}."] if measure in model.missing else []
