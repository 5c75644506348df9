"""Which charts a comparison draws, and from which of its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from vizlib.compare import text
from vizlib.figures.charts import Mark, mark
from vizlib.figures.comparison_charts import Curve, alignment_map, along_depth, counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import plotly.graph_objects as go

    from vizlib.compare.result import Comparison, ModelMeasures
    from vizlib.compare.text import ChartText


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure, its words, and why some model is not in it."""

    text: ChartText
    figure: go.Figure
    missing: list[str] = field(default_factory=list)


def charts(found: Comparison) -> dict[str, Chart]:
    """The charts along depth by name, in the order of a page; one that would be empty is left out."""
    marks = marks_of(found)
    made: dict[str, Callable[[Comparison, list[Mark]], Chart | None]] = {
        "distance": _distance, "entropy": _entropy, "spectrum": _spectrum, "similarity": _similarity, "rank": _rank, "branches": _branches,
        "norm": _norm, "channels": _channels,
    }  # fmt: skip
    return {name: chart for name, make in made.items() if (chart := make(found, marks)) is not None}


def marks_of(found: Comparison) -> list[Mark]:
    """How each model looks in every chart."""
    return [mark(model.name, number) for number, model in enumerate(found.models)]


def cka_charts(found: Comparison) -> dict[str, dict[str, go.Figure]]:
    """The heat maps by "reading/kernel" and by "first-second", the numbers of two models."""
    made: dict[str, dict[str, go.Figure]] = {}
    for reading, kernel in found.cka:
        made[f"{reading}/{kernel}"] = {
            f"{first}-{second}": cka_chart(found, first, second, reading, kernel)
            for first, second in combinations_with_replacement(range(len(found.models)), 2)
        }
    return made


def cka_chart(found: Comparison, first: int, second: int, reading: str = "tokens", kernel: str = "linear") -> go.Figure:
    """CKA of all layers of one model (rows) with those of another."""
    one, (rows, columns) = found.between(first, second, reading, kernel), (found.models[first], found.models[second])
    names = [[layer.name for layer in model.layers] for model in (rows, columns)]
    return alignment_map(one.value, names[0], names[1], rows.name, columns.name, one.low, one.high)


def _depths(model: ModelMeasures) -> list[float]:
    return [layer.depth for layer in model.layers]


def _curve(model: ModelMeasures, look: Mark, values: Iterable[float], **more: object) -> Curve:
    return Curve(look, _depths(model), [float(value) for value in values], [layer.name for layer in model.layers], **more)  # type: ignore[arg-type]


def _distance(found: Comparison, marks: list[Mark]) -> Chart | None:
    curves, dots, missing = [], [], []
    for model, look in zip(found.models, marks, strict=True):
        sites = [site for site in model.heads if np.isfinite(site.distance).all()]
        if sites:
            dots.append(
                Curve(
                    look,
                    [site.depth for site in sites for _ in site.distance],
                    [float(one) / model.diagonal for site in sites for one in site.distance],
                    [f"{site.name}, head {head}" for site in sites for head in range(len(site.distance))],
                    label=f"{model.name}: heads",
                )
            )
        for fields, words_of, dash in ((model.fields, "receptive field", 0), (model.operator, "architecture alone", 1)):
            if fields:
                curves.append(
                    _curve(model, look, [one.reach / model.diagonal for one in fields], label=f"{model.name}: {words_of}", dash=dash)
                )
        missing += _why(model, "fields")
    return Chart(text.DISTANCE, along_depth(curves, "share of the diagonal", tick_format=".0%", dots=dots, zero=True), missing)


def _entropy(found: Comparison, marks: list[Mark]) -> Chart | None:
    dots, missing = [], []
    for model, look in zip(found.models, marks, strict=True):
        if model.heads:
            names = [f"{site.name}, head {head}" for site in model.heads for head in range(len(site.entropy))]
            depth = [site.depth for site in model.heads for _ in site.entropy]
            dots.append(Curve(look, depth, [float(one) for site in model.heads for one in site.entropy], names))
        missing += _why(model, "heads")
    return Chart(text.ENTROPY, along_depth([], "bits", dots=dots, zero=True), missing) if dots else None


def _spectrum(found: Comparison, marks: list[Mark]) -> Chart:
    curves = [_curve(model, look, model.high_frequency) for model, look in zip(found.models, marks, strict=True)]
    return Chart(text.SPECTRUM, along_depth(curves, "ln amplitude, highest over zero"))


def _similarity(found: Comparison, marks: list[Mark]) -> Chart:
    curves = []
    for model, look in zip(found.models, marks, strict=True):
        error = None if "similarity" in found.missing else [2 * float(one) for one in model.similarity_error]
        curves.append(_curve(model, look, model.similarity, error=error))
    missing = [found.missing["similarity"]] if "similarity" in found.missing else []
    return Chart(text.SIMILARITY, along_depth(curves, "mean cosine of tokens"), missing)


def _rank(found: Comparison, marks: list[Mark]) -> Chart:
    curves = []
    for model, look in zip(found.models, marks, strict=True):
        notes = [
            f"effective rank {rank:.0f} of {layer.channels}, stable rank {stable:.1f}"
            for layer, rank, stable in zip(model.layers, model.rank, model.stable_rank, strict=True)
        ]
        curves.append(
            _curve(model, look, [rank / layer.channels for rank, layer in zip(model.rank, model.layers, strict=True)], notes=notes)
        )
        most = [min(1.0, (model.rank_rows - 1) / layer.channels) for layer in model.layers]
        if min(most) < 1:
            curves.append(_curve(model, look, most, label=f"{model.name}: at most, from {model.rank_rows} tokens", dash=1))
    return Chart(text.RANK, along_depth(curves, "effective rank over channels", tick_format=".0%", zero=True))


def _branches(found: Comparison, marks: list[Mark]) -> Chart | None:
    curves, missing = [], []
    for model, look in zip(found.models, marks, strict=True):
        if model.branches:
            count = len(model.branches)
            curves.append(
                Curve(look, [(number + 1) / count for number in range(count)], list(model.branches.values()), list(model.branches))
            )
        missing += _why(model, "branches")
    return Chart(text.BRANCHES, along_depth(curves, "share that is passed on", tick_format=".0%"), missing) if curves else None


def _norm(found: Comparison, marks: list[Mark]) -> Chart:
    curves = [_curve(model, look, model.norm) for model, look in zip(found.models, marks, strict=True)]
    return Chart(text.NORM, along_depth(curves, "mean length", tick_format=".1f", zero=True))


def _channels(found: Comparison, marks: list[Mark]) -> Chart | None:
    if not any(model.dead.any() or model.exploding.any() for model in found.models):
        return None
    groups = []
    for model, look in zip(found.models, marks, strict=True):
        channels = np.array([layer.channels for layer in model.layers])
        groups.append(
            (look, [layer.name for layer in model.layers], (model.dead / channels).tolist(), (model.exploding / channels).tolist())
        )
    return Chart(text.CHANNELS, counts(groups))


def _why(model: ModelMeasures, what: str) -> list[str]:
    return [f"{model.name}: {model.missing[what]}."] if what in model.missing else []
