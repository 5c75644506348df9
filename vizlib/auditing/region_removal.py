"""How much of a class a model loses when the place that a cluster of maps lies on is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.auditing.clusters import Removal
from vizlib.auditing.decoding import decoded
from vizlib.auditing.pictures import audit_pictures, read_sources
from vizlib.errors import AuditError, ImageError
from vizlib.stats import bootstrap_interval
from vizlib.zoo.weights import state_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.clusters import StrategyCluster
    from vizlib.auditing.result import Audit
    from vizlib.zoo.model import Model

SHARE = 0.1  # of the picture that is taken away
MOST = 96  # members of a cluster that are looked at
CONTROLS = 4  # places elsewhere
BATCH = 32


def drop_of_accuracy(
    clusters: Sequence[StrategyCluster],
    audit: Audit,
    name: str,
    data: Any,
    model: Model,
    *,
    share: float = SHARE,
    most: int = MOST,
    controls: int = CONTROLS,
    seed: int = 0,
) -> list[StrategyCluster]:
    """The clusters of the audit's model ``name`` with their ``removal``, by falling score: the first is the likeliest shortcut.

    The strongest cells of a cluster's mean map, ``share`` of the picture, become the picture's mean colour in at most ``most`` members;
    the controls are the same shape moved elsewhere, around the edges. Right is the label, and without one the answer as it was. Clusters
    none of whose pictures can be read come last, without removal. AuditError for other data or another model than the audit's.
    """
    if not 0 < share <= 0.5:
        raise AuditError(f"The share that is taken away is above 0 and at most 0.5, not {share!r}.")
    if most < 1 or controls < 1:
        raise AuditError("The members that are looked at, and the places elsewhere, are at least one.")
    pictures = audit_pictures(data)
    facts = next((facts for facts in audit.facts["models"] if facts["name"] == name), None)
    if facts is None:
        raise AuditError(f"This audit has no model {name[:80]!r}; it has {', '.join(audit.models)}.")
    if pictures.fingerprint() != audit.facts["data"]:
        raise AuditError("This is not the data that the audit went over: names, labels, boxes or masks differ.")
    if state_fingerprint(model.module) != facts["weights"]:
        raise AuditError(f"This is not the {name} that was audited: its weights differ.")
    rows = audit.rows(["picture", "model", "label", "prediction"])
    rows = rows[(rows["model"] == name) & rows["prediction"].notna()].drop_duplicates("picture").set_index("picture")
    answers = rows["label"].where(rows["label"].notna(), rows["prediction"]).astype(int)
    scored = []
    for cluster in clusters:
        region = strongest_cells(cluster.mean_map, share)
        masks = [region, *moved(region, controls, seed)]
        chosen = np.linspace(0, cluster.size - 1, min(most, cluster.size)).round().astype(int)
        right = []
        for start in range(0, len(chosen), BATCH):
            some = [cluster.members[place] for place in chosen[start : start + BATCH]]
            right.append(
                _right(model, [pictures.items[picture] for picture in some], answers.loc[some].tolist(), masks, audit.facts["fit"])
            )
        scored.append(replace(cluster, removal=_removal(cluster, np.concatenate(right), region)))
    return sorted(scored, key=lambda cluster: -np.inf if cluster.removal is None else cluster.removal.score, reverse=True)


def strongest_cells(mean_map: np.ndarray, share: float) -> np.ndarray:
    """The cells bool (rows, columns) with the largest values, ``share`` of them and at least one; of equal ones the first."""
    count = max(1, round(share * mean_map.size))
    region = np.zeros(mean_map.size, dtype=bool)
    region[np.argsort(-mean_map, axis=None, kind="stable")[:count]] = True
    return region.reshape(mean_map.shape)


def moved(region: np.ndarray, count: int, seed: int = 0) -> list[np.ndarray]:
    """The region bool (rows, columns) at other places, around the edges: ``count`` moves drawn from those that overlap it least."""
    shifts = [(row, column) for row in range(region.shape[0]) for column in range(region.shape[1]) if (row, column) != (0, 0)]
    if not shifts:
        raise AuditError("A map of one cell has no place elsewhere.")
    everywhere = [np.roll(region, shift, (0, 1)) for shift in shifts]
    overlap = np.array([int((other & region).sum()) for other in everywhere])
    order = np.lexsort((np.random.default_rng(seed).random(len(shifts)), overlap))
    return [everywhere[place] for place in order[:count]]


def _right(model: Model, pictures: Sequence[Any], answers: Sequence[int], masks: Sequence[np.ndarray], fit: str | None) -> np.ndarray:
    """Whether the answer is right, float (pictures, 1 + masks): as it is, and without each region; pictures that cannot be read are out."""
    inputs, wanted = [], []
    for source, answer in zip(read_sources(pictures), answers, strict=True):
        try:
            inputs.append(model.prepare(decoded(source), fit)[0])
        except ImageError:
            continue
        wanted.append(answer)
    if not inputs:
        return np.zeros((0, 1 + len(masks)))
    x, expected = torch.stack(inputs), torch.tensor(wanted)
    mean = x.mean((2, 3), keepdim=True)
    columns = []
    with torch.no_grad():
        for mask in (None, *masks):
            changed = x if mask is None else torch.where(_on_pixels(mask, x.shape[2:]), mean, x)
            columns.append((model.class_logits(changed).argmax(1).cpu() == expected).double())
    return torch.stack(columns, 1).numpy()


def _on_pixels(mask: np.ndarray, size: Sequence[int]) -> torch.Tensor:
    """Cells bool (rows, columns) on pixels bool (h, w): each by its centre."""
    rows, columns = (((np.arange(side) + 0.5) * cells / side).astype(int) for side, cells in zip(size, mask.shape, strict=True))
    return torch.from_numpy(mask[rows[:, None], columns[None]])


def _removal(cluster: StrategyCluster, right: np.ndarray, region: np.ndarray) -> Removal | None:
    if not len(right):
        return None
    elsewhere = right[:, 2:].mean(1)
    weight = cluster.size / cluster.class_size
    gap = (elsewhere - right[:, 1]) * weight
    low, high = bootstrap_interval(gap[:, None], lambda means: means[:, 0])
    return Removal(
        len(right), float(right[:, 0].mean()), float(right[:, 1].mean()), float(elsewhere.mean()), float(gap.mean()), low, high, region
    )
