"""``overview``: all that the report and the page Audit show of an audit, in two walks over its parts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vizlib.auditing.clusters import comparable
from vizlib.auditing.overview.class_maps import ClassMaps
from vizlib.auditing.overview.head_means import head_means
from vizlib.auditing.overview.layer_probes import model_probes
from vizlib.auditing.overview.lens_means import lens_means
from vizlib.auditing.overview.map_agreement import Agreements
from vizlib.auditing.overview.model_series import model_series
from vizlib.auditing.overview.picked_rows import PICTURED, TABLE_ROWS, PickedRows
from vizlib.auditing.overview.score_leads import model_scores
from vizlib.auditing.overview.totals import totals
from vizlib.auditing.summary import summaries

if TYPE_CHECKING:
    from vizlib.auditing.overview.class_maps import ClassMap, Confusion
    from vizlib.auditing.overview.head_means import SiteMeans
    from vizlib.auditing.overview.layer_probes import ModelProbes
    from vizlib.auditing.overview.lens_means import LensMeans
    from vizlib.auditing.overview.map_agreement import Agreement
    from vizlib.auditing.overview.model_series import ModelSeries
    from vizlib.auditing.overview.picked_rows import Key, PickedRow
    from vizlib.auditing.overview.score_leads import ModelScores
    from vizlib.auditing.overview.totals import Totals
    from vizlib.auditing.result import Audit
    from vizlib.auditing.summary import Summary

_READ = (
    "picture", "path", "model", "method", "label", "label_name", "prediction", "predicted", "right", "probability", "label_probability",
    "label_rank", "evenness", "strongest", "sink", "region_share", "region_area", "pointing", "artifacts", "height", "width",
    "seen_top", "seen_left", "seen_bottom", "seen_right",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Overview:
    """An audit as a whole, by the ``facts`` of its manifest; ``complete`` says whether every chunk is there, ``series`` how several
    models go from one to the next, ``lens`` and ``probes`` what each layer knows, ``scores`` how faithful the maps are.

    ``pictured`` are the rows with a map by (picture, model, method), ``first`` those that each (preset, model, method) puts first;
    ``table`` holds the numbers of every picture whose number is a multiple of ``stride``, and of those; ``matching`` says how many rows
    of each such key there are in all; ``right_with_region`` how many right answers have a box or mask.
    """

    facts: dict[str, Any]
    complete: bool
    totals: Totals
    summaries: list[Summary]
    classes: list[ClassMap]
    confusions: list[Confusion]
    agreements: list[Agreement]
    heads: list[SiteMeans]
    series: ModelSeries | None
    lens: list[LensMeans]
    probes: list[ModelProbes]
    scores: list[ModelScores]
    first: dict[tuple[str, str, str], list[PickedRow]]
    pictured: dict[Key, PickedRow]
    table: list[PickedRow]
    matching: dict[tuple[str, str, str], int]
    right_with_region: dict[tuple[str, str], int]
    stride: int
    each: int

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every (model, method), in the order of the audit."""
        return [(model, method) for model in self.models for method in self.methods]

    @property
    def models(self) -> list[str]:
        """The models as rows call them."""
        return [model["name"] for model in self.facts["models"]]

    @property
    def methods(self) -> list[str]:
        """The methods as rows call them."""
        return [method["name"] for method in self.facts["methods"]]


def overview(audit: Audit, *, table_rows: int = TABLE_ROWS, pictured: int = PICTURED) -> Overview:
    """What ``audit`` holds as a whole: two walks over its parts, of which one chunk is in memory at a time.

    At most about ``table_rows`` rows are kept as numbers and ``pictured`` with their maps, at least four of each preset, model and method.
    """
    total = totals(audit)
    maps, agreements = ClassMaps(total, audit.methods), Agreements(audit.models, audit.methods)
    picked = PickedRows(
        audit.facts["pictures"], audit.models, audit.methods, total.rows, table_rows=table_rows, pictured=pictured
    )  # fmt: skip
    for chunk in audit.chunks([*_READ, *(f"score_{name}" for name in audit.facts["scores"])]):
        chunk.sort(key=lambda pair: pair[0]["picture"])
        for _, group in groupby(chunk, key=lambda pair: pair[0]["picture"]):
            with_map = [(row, grid_map) for row, grid_map in group if grid_map is not None]
            shares = {_key(row): of_map for row, grid_map in with_map if (of_map := comparable(grid_map)) is not None}
            apart = agreements.add({_key(row): row for row, _ in with_map}, shares)
            for row, grid_map in with_map:
                if _key(row) in shares:
                    maps.add(row, shares[_key(row)])
                picked.add(_with_derived(row, apart[_key(row)]), grid_map)
    rows, heads = summaries(audit), head_means(audit)
    series = model_series(audit, rows, agreements.pairs, heads) if len(audit.models) > 1 else None
    return Overview(
        audit.facts, audit.complete, total,
        rows, maps.classes(), maps.confusions(), agreements.pairs, heads, series,
        lens_means(audit), model_probes(audit), model_scores(audit), picked.first(),
        picked.pictured(), picked.table(), picked.matching, picked.right_with_region, picked.stride, picked.each,
    )  # fmt: skip


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["model"], row["method"]


def _with_derived(row: dict[str, Any], apart: dict[str, float]) -> dict[str, Any]:
    """A row with what follows from it and from the other maps of its picture."""
    share, area = row["region_share"], row["region_area"]
    lift = share / area if share is not None and area else None
    return row | {"region_lift": lift} | {name: apart.get(name) for name in ("methods_apart", "models_apart", "from_last")}
