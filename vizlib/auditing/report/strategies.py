"""The clusters that a report shows: of some classes, ranked by what their place costs or by how distinct they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.clusters import LEAST, strategy_clusters
from vizlib.auditing.model_sources import model_sources
from vizlib.auditing.region_removal import drop_of_accuracy
from vizlib.errors import AuditError

if TYPE_CHECKING:
    from vizlib.auditing.clusters import StrategyCluster
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.result import Audit

MOST_MAPS = 20_000  # of a model and a method, in memory at a time
SHOWN = 8  # clusters of a model and a method
MEMBERS = 6  # of a cluster, which are shown
LOOKED_AT = 24  # members whose answers are asked again without the place


@dataclass(frozen=True, eq=False)
class Strategies:
    """The clusters of a model by a method, the most telling first; ``classes`` out of ``of`` were clustered; or why there are none."""

    model: str
    method: str
    clusters: list[StrategyCluster]
    classes: int
    of: int
    missing: str = ""

    @property
    def ranked(self) -> bool:
        """Whether it was measured what places cost."""
        return any(cluster.removal is not None for cluster in self.clusters)

    @property
    def shown(self) -> list[StrategyCluster]:
        """The first of them; a class whose maps are one cluster only where it was measured what its place costs."""
        return [cluster for cluster in self.clusters if self.ranked or cluster.size < cluster.class_size][:SHOWN]


def strategies(audit: Audit, overview: Overview, *, data: Any = None, models: Any = None, seed: int = 0) -> list[Strategies]:
    """The clusters of every model and method over the classes with most pictures, at most 20,000 maps.

    With ``data`` and ``models``, those of the audit in its order, ranked by the accuracy that falls without their place, six passes for
    each of at most 24 members; else by how far they lie from their class's other clusters beyond their own spread.
    """
    sources = None if models is None else model_sources(models)
    if sources is not None and [source.name for source in sources] != audit.models:
        raise AuditError(f"The models are {', '.join(source.name for source in sources)}; the audit's are {', '.join(audit.models)}.")
    result = []
    for number, model in enumerate(audit.models):
        loaded = sources[number].load() if sources is not None and data is not None else None
        chosen, of = _classes(overview, model)
        for method in audit.methods:
            if not chosen:
                missing = f"No class has {LEAST} pictures, which clusters need." if of else "The model gives no classes."
                result.append(Strategies(model, method, [], 0, of, missing))
                continue
            try:
                clusters = strategy_clusters(audit, model, method, classes=chosen, seed=seed)
            except AuditError as error:
                result.append(Strategies(model, method, [], 0, of, str(error)))
                continue
            if loaded is not None:
                clusters = drop_of_accuracy(clusters, audit, model, data, loaded, most=LOOKED_AT, seed=seed)
            else:
                clusters.sort(key=_distinct, reverse=True)
            result.append(Strategies(model, method, clusters, len(chosen), of))
    return result


def _classes(overview: Overview, model: str) -> tuple[list[int], int]:
    """The classes that are clustered, by what the model answered, and how many there are."""
    counts = overview.totals.answers[model]
    chosen: list[int] = []
    maps = 0
    for index, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if count >= LEAST and maps + count <= MOST_MAPS:
            chosen.append(index)
            maps += count
    return chosen, len(counts)


def _distinct(cluster: StrategyCluster) -> float:
    return -np.inf if np.isnan(cluster.between) else cluster.between - cluster.within
