"""Every metric of faithfulness: a new one is a file beside this one and its name below. Read without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vizlib.errors import names_of

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


def metrics_named(names: Sequence[str] | None = None) -> list[Metric]:
    """The metrics of these names (None: all, in the order of METRICS); MethodError with the nearest names for one that is not there."""
    return list(METRICS.values()) if names is None else [METRICS[name] for name in names_of(names, "metrics", METRICS, "metric")]
