"""How faithful the maps of each method are over the set, and which is ahead of which on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.evaluation.metrics import METRICS
from vizlib.evaluation.over_sets import leads
from vizlib.stats import Estimate, mean_bootstrap

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit
    from vizlib.evaluation.over_sets import Lead


@dataclass(frozen=True)
class MethodScore:
    """One metric of one method over ``pictures``: the mean ``value``, and how far it is ``ahead`` of a Gaussian around the middle on the
    same pictures, positive for better."""

    metric: str
    method: str
    pictures: int
    value: Estimate
    ahead: Estimate


@dataclass(frozen=True)
class ModelScores:
    """The scores of every metric and method for a ``model``, and the ``leads`` of its methods on each other."""

    model: str
    scores: tuple[MethodScore, ...]
    leads: tuple[Lead, ...]


def model_scores(audit: Audit) -> list[ModelScores]:
    """One for each model, nothing where the audit was made without ``scores``; a few bytes a picture are in memory."""
    return [_of_model(audit, model) for model in audit.models] if audit.facts["scores"] else []


def _of_model(audit: Audit, model: str) -> ModelScores:
    metrics = audit.facts["scores"]
    columns = [f"{part}_{metric}" for metric in metrics for part in ("score", "gaussian")]
    values = {(name, method): np.full(audit.facts["pictures"], np.nan) for name in columns for method in audit.methods}
    for table in audit.model_tables(model, ["picture", "method", *columns]):
        rows = table.to_pydict()
        for name in columns:
            for picture, method, value in zip(rows["picture"], rows["method"], rows[name], strict=True):
                if value is not None:
                    values[name, method][picture] = value
    scores, found = [], []
    for metric in metrics:
        sign = 1 if METRICS[metric].higher_is_better else -1
        of_methods = {method: values[f"score_{metric}", method] for method in audit.methods}
        for method, own in of_methods.items():
            there = ~np.isnan(own)
            if there.any():
                apart = sign * (own - values[f"gaussian_{metric}", method])[there]
                scores.append(MethodScore(metric, method, int(there.sum()), _estimate(own[there]), _estimate(apart)))
        found += leads(metric, of_methods, higher=METRICS[metric].higher_is_better)
    return ModelScores(model, tuple(scores), tuple(found))


def _estimate(values: np.ndarray) -> Estimate:
    return float(values.mean()), *mean_bootstrap(values)
