"""Every metric of faithfulness: a new one is a file beside this one and its name below. Read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.errors import MethodError, nearest
from vizlib.evaluation.metrics import deletion, infidelity, insertion, max_sensitivity, sensitivity_n

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.metrics.metric import Metric

_FILES = (deletion, insertion, sensitivity_n, infidelity, max_sensitivity)
METRICS: dict[str, Metric] = {file.METRIC.name: file.METRIC for file in _FILES}


def metrics_named(names: Sequence[str] | None = None) -> list[Metric]:
    """The metrics of these names (None: all, in the order of METRICS); MethodError with the nearest names for one that is not there."""
    for name in names or ():
        if name not in METRICS:
            raise MethodError(f"There is no metric {name!r}; there are {', '.join(METRICS)}.{nearest(name, list(METRICS))}")
    return list(METRICS.values()) if names is None else [METRICS[name] for name in names]
