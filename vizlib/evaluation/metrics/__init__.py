"""Every metric of faithfulness: a new one is a file beside this one and its name below. Read without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vizlib.errors import MethodError, names_of
from vizlib.evaluation.metrics.metric import MapMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.metrics.metric import Metric

_IN_ORDER = (
    "deletion",
    "insertion",
    "sensitivity_n",
    "infidelity",
    "road",
    "max_sensitivity",
)
METRICS: dict[str, Metric] = {name: import_module(f"{__name__}.{name}").METRIC for name in _IN_ORDER}
MAP_METRICS = tuple(name for name, metric in METRICS.items() if isinstance(metric, MapMetric))


def metrics_named(names: Sequence[str] | None = None) -> list[Metric]:
    """The metrics of these names (None: those of a badge, in order); MethodError with the nearest names for one that is not there."""
    if names is None:
        return [metric for metric in METRICS.values() if metric.badge != "apart"]
    return [METRICS[name] for name in names_of(names, "metrics", METRICS, "metric")]


def map_metrics_named(names: Sequence[str]) -> list[MapMetric]:
    """The metrics of these names, each of a map alone; MethodError for one that makes its explanation again."""
    chosen = metrics_named(names)
    again = [metric.name for metric in chosen if not isinstance(metric, MapMetric)]
    if again:
        raise MethodError(f"{again[0]} makes each explanation again, so it is no score of a map alone; take {', '.join(MAP_METRICS)}.")
    return [metric for metric in chosen if isinstance(metric, MapMetric)]
