"""An audit in one line for each model and method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.stats import wilson

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit


@dataclass(frozen=True)
class Summary:
    """``right`` is the share of the ``labelled`` pictures that were answered rightly, with its 95 % Wilson interval ``low`` to ``high``;
    means of the maps' evenness, of the share in box or mask and of what an even map would have there, and the pointing game's hits with its
    interval, over ``regions`` pictures. None where there is nothing to say it of.
    """

    model: str
    method: str
    pictures: int
    failed: int
    labelled: int
    right: float | None
    low: float | None
    high: float | None
    evenness: float | None
    regions: int
    region_share: float | None
    region_area: float | None
    pointing: float | None
    pointing_low: float | None
    pointing_high: float | None

    def as_record(self) -> dict[str, Any]:
        """Its fields by name."""
        return asdict(self)


def summaries(audit: Audit) -> list[Summary]:
    """One for each model and method, in the order of the audit."""
    columns = ["model", "method", "error", "right", "evenness", "region_share", "region_area", "pointing"]
    table = audit.rows(columns)
    return [_summary(model, method, table) for model in audit.models for method in audit.methods]


def _summary(model: str, method: str, table: Any) -> Summary:
    own = table[table["model"] == model]
    rows = own[(own["method"] == method) & own["error"].isna()]
    unread = int(own["method"].isna().sum())
    failed = int(((own["method"] == method) & own["error"].notna()).sum()) + unread
    right = rows["right"].dropna().astype(bool)
    hits = rows["pointing"].dropna()
    low, high = wilson(float(right.sum()), len(right)) if len(right) else (None, None)
    pointing_low, pointing_high = wilson(float(hits.sum()), len(hits)) if len(hits) else (None, None)
    return Summary(
        model=model,
        method=method,
        pictures=len(rows),
        failed=failed,
        labelled=len(right),
        right=float(right.mean()) if len(right) else None,
        low=low,
        high=high,
        evenness=_mean(rows["evenness"]),
        regions=len(hits),
        region_share=_mean(rows["region_share"]),
        region_area=_mean(rows["region_area"]),
        pointing=float(hits.mean()) if len(hits) else None,
        pointing_low=pointing_low,
        pointing_high=pointing_high,
    )


def _mean(values: Any) -> float | None:
    numbers = np.asarray(values.dropna(), dtype=np.float64)
    return float(numbers.mean()) if len(numbers) else None
