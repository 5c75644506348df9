"""Clusters of strategies: groups of pictures of one class in whose maps a model looks at the same place (SpRAy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.map_statistics import cell_sums
from vizlib.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vizlib.auditing.result import Audit

GRID = 14  # cells of a side that are compared at most
LEAST = 20  # maps that a class needs to be clustered
MOST_CLUSTERS = 8  # of a class
MOST_MAPS = 2000  # of a class, between whose neighbours the clusters are sought
NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Removal:
    """What ``pictures`` members of a cluster lose: shares that are right as they are, without the ``region`` bool (rows, columns), and
    without as large a region elsewhere (the mean of several).

    ``score`` = (``right_elsewhere`` - ``right_without``) * size / class size: the accuracy on the class that falls by the region beyond
    what as large a hole costs; ``low`` to ``high`` its 95 % interval over members (paired bootstrap).
    """

    pictures: int
    right: float
    right_without: float
    right_elsewhere: float
    score: float
    low: float
    high: float
    region: np.ndarray


@dataclass(frozen=True, eq=False)
class StrategyCluster:
    """Pictures of a class whose maps are alike: ``members`` are their numbers in the audit, ``mean_map`` (rows, columns) sums to 1.

    ``within`` is the mean distance of the members' maps to it, ``between`` that to the nearest other cluster's (NaN where there is none),
    as half the sum of |a - b|: 0 alike, 1 without a cell in common. ``box_share`` and ``box_area`` are means over members with a box.
    """

    class_index: int
    class_name: str
    class_size: int
    members: tuple[int, ...]
    mean_map: np.ndarray
    within: float
    between: float
    box_share: float
    box_area: float
    removal: Removal | None = None

    @property
    def size(self) -> int:
        """How many pictures it has."""
        return len(self.members)

    @property
    def outside(self) -> bool | None:
        """Whether its maps lie less on the object than even maps would; None where no member has a box or mask."""
        return None if np.isnan(self.box_share) else self.box_share < self.box_area


def strategy_clusters(
    audit: Audit,
    model: str,
    method: str,
    *,
    by: str = "prediction",
    part: str = "positive",
    least: int = LEAST,
    classes: Sequence[int] | None = None,
    seed: int = 0,
) -> list[StrategyCluster]:
    """The clusters of every class with ``least`` maps, classes in order, largest first (Lapuschkin et al. 2019, Unmasking Clever Hans).

    Maps (their "positive" or "absolute" part, summed to at most 14 x 14 cells, over their sum) are nodes tied to their nearest neighbours;
    clusters are k-means on the first k eigenvectors of the normalised Laplacian, k the widest gap of its eigenvalues: spectral as in the
    paper, since the gap tells when a class has one strategy, and unlike in HDBSCAN no map is thrown out as noise. Beyond 2,000 maps of a
    class the rest join the nearest mean. Maps without it are left out. ``by`` is "prediction" or "label", ``classes`` some of them.
    AuditError for other words.
    ``vizlib.auditing.region_removal.drop_of_accuracy`` ranks them.
    """
    if by not in ("prediction", "label"):
        raise AuditError(f"Maps are clustered by 'prediction' or 'label', not {str(by)[:40]!r}.")
    if part not in ("positive", "absolute"):
        raise AuditError(f"The part of a map is 'positive' or 'absolute', not {str(part)[:40]!r}.")
    if isinstance(least, bool) or not isinstance(least, int) or least < 4:
        raise AuditError(f"least is a number of maps from 4, not {str(least)[:40]!r}.")
    rows = _rows(audit, model, method, by, classes)
    name_column = "predicted" if by == "prediction" else "label_name"
    counts = rows[by].value_counts()
    kept = rows[rows[by].isin(counts.index[counts >= least])]
    class_of = dict(zip(kept.index, kept[by].astype(int), strict=True))
    names = dict(zip(kept[by].astype(int), kept[name_column].astype(str), strict=True))
    maps: dict[int, dict[int, np.ndarray]] = {index: {} for index in sorted(names)}
    for picture, grid_map in audit.maps(model, method):
        if picture in class_of and (shares := comparable(grid_map, part)) is not None:
            maps[class_of[picture]][picture] = shares
    clusters: list[StrategyCluster] = []
    for index, of_class in maps.items():
        if len(of_class) >= least:
            clusters += _of_class(index, names[index], of_class, rows, seed)
    return clusters


def comparable(grid_map: np.ndarray, part: str = "positive") -> np.ndarray | None:
    """A map (rows, columns) as shares float32 of its positive or absolute part, on at most 14 x 14 cells; None where it has none."""
    values = np.asarray(grid_map, dtype=np.float64)
    values = np.abs(values) if part == "absolute" else values.clip(0)
    values = cell_sums(values, GRID)
    total = float(values.sum())
    return (values / total).astype(np.float32) if total > 0 and np.isfinite(total) else None


def _rows(audit: Audit, model: str, method: str, by: str, classes: Sequence[int] | None) -> pd.DataFrame:
    """The rows of the maps of a model and a method by the number of their picture, of those classes that are asked for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = ["picture", "method", "map", "label", "label_name", "prediction", "predicted", "region_share", "region_area"]
    tables = []
    for table in audit.model_tables(model, columns, method):
        wanted = pc.and_(pc.equal(table["method"], method), pc.and_(table["map"].is_valid(), table[by].is_valid()))
        if classes is not None:
            wanted = pc.and_(wanted, pc.is_in(table[by], pa.array(list(classes), table[by].type)))
        tables.append(table.filter(pc.fill_null(wanted, fill_value=False)))
    if not tables:
        raise AuditError(f"{audit.folder} has no rows of {model} yet.")
    return pa.concat_tables(tables).to_pandas().set_index("picture")


def _of_class(index: int, name: str, of_class: dict[int, np.ndarray], rows: pd.DataFrame, seed: int) -> list[StrategyCluster]:
    pictures = np.array(list(of_class))
    shapes = {shares.shape for shares in of_class.values()}
    if len(shapes) > 1:
        raise AuditError(f"The maps of {name} have grids of several sizes: cluster an audit whose pictures all have one input size.")
    shares = np.stack(list(of_class.values()))
    flat = shares.reshape(len(shares), -1)
    groups = spectral_groups(flat, seed)
    means = np.stack([flat[groups == group].mean(0) for group in range(groups.max() + 1)])
    apart = np.abs(means[:, None] - means[None]).sum(2) / 2
    np.fill_diagonal(apart, np.inf)
    clusters = []
    for group, mean in enumerate(means):
        chosen = groups == group
        members = pictures[chosen]
        boxes: Any = rows.loc[members, ["region_share", "region_area"]].dropna()
        share, area = (float(boxes[column].mean()) if len(boxes) else float("nan") for column in ("region_share", "region_area"))
        between = float(apart[group].min())
        clusters.append(
            StrategyCluster(
                index, name, len(pictures), tuple(int(picture) for picture in members), mean.reshape(shares.shape[1:]),
                float(np.abs(flat[chosen] - mean).sum(1).mean() / 2), between if np.isfinite(between) else float("nan"), share, area,
            )
        )  # fmt: skip
    return sorted(clusters, key=lambda cluster: (-cluster.size, cluster.members))


def spectral_groups(flat: np.ndarray, seed: int = 0) -> np.ndarray:
    """The group, from 0, of each of the points (n, features): Ng, Jordan and Weiss 2001, with k by the eigengap (von Luxburg 2007)."""
    from scipy.linalg import eigh
    from sklearn.cluster import KMeans
    from sklearn.neighbors import NearestNeighbors, kneighbors_graph

    sample = np.arange(len(flat))
    if len(flat) > MOST_MAPS:
        sample = np.sort(np.random.default_rng(seed).choice(len(flat), MOST_MAPS, replace=False))
    points = flat[sample].astype(np.float64)
    most = min(MOST_CLUSTERS, len(points) // 4)
    ties = kneighbors_graph(points, min(NEIGHBOURS, max(3, len(points) // 4))).toarray()
    ties = np.maximum(ties, ties.T)
    scale = 1 / np.sqrt(ties.sum(1))
    laplacian = np.eye(len(points)) - scale[:, None] * ties * scale[None]
    values, vectors = eigh(laplacian, subset_by_index=(0, min(most, len(points) - 1)))
    count = int(np.argmax(np.diff(values))) + 1
    if count == 1:
        return np.zeros(len(flat), dtype=int)
    places = vectors[:, :count] / np.linalg.norm(vectors[:, :count], axis=1, keepdims=True).clip(1e-12)
    labels = KMeans(count, n_init=10, random_state=seed).fit_predict(places)
    groups = np.unique(labels, return_inverse=True)[1]
    if len(sample) == len(flat):
        return groups
    means = np.stack([points[groups == group].mean(0) for group in range(groups.max() + 1)])
    nearest = NearestNeighbors(n_neighbors=1).fit(means).kneighbors(flat, return_distance=False)[:, 0]
    nearest[sample] = groups
    return nearest
