"""From model to model, as from checkpoint to checkpoint of one run: accuracy, where it looks, how near each is to the last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib.auditing.overview.head_means import SiteMeans
    from vizlib.auditing.overview.map_agreement import Agreement
    from vizlib.auditing.result import Audit
    from vizlib.auditing.summary import Summary
    from vizlib.stats import Estimate


@dataclass(frozen=True)
class ModelStep:
    """One model of a series: the share of ``right`` answers; by method how far its maps lie from the ``last`` model's and their ``gain`` on
    the object beyond even maps; by layer the mean ``distance`` of attention in pixels and ``cka`` to the same layer of the last model.
    """

    model: str
    right: Estimate | None
    apart: dict[str, Estimate]
    gain: dict[str, Estimate]
    distance: dict[str, float] = field(default_factory=dict)
    cka: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSeries:
    """The steps in the order of the audit, and why some number is ``missing``."""

    steps: list[ModelStep]
    missing: dict[str, str]


def model_series(audit: Audit, summaries: Sequence[Summary], agreements: Sequence[Agreement], heads: Sequence[SiteMeans]) -> ModelSeries:
    """The models of an audit in its order, each against the last, of what an overview has found already.

    CKA is of kept features (``features=True``), the mean over cells of each picture: linear, unbiased, over the parts as minibatches, its
    interval by drawing them again (Nguyen et al. 2021). It reads the features of two models once; one part of each is in memory.
    """
    missing: dict[str, str] = {}
    last = audit.models[-1]
    cka = _cka(audit, missing)
    if not heads:
        missing["distance"] = (
            "None of these models has attention that looks over its whole grid."
            if audit.facts["heads"]
            else "The audit was made without statistics of heads, so there is no distance of attention."
        )
    steps = []
    for model in audit.models:
        own = [summary for summary in summaries if summary.model == model]
        gain: dict[str, Estimate] = {}
        for summary in own:
            value, interval = summary.mean("region_gain"), summary.interval("region_gain")
            if value is not None and interval is not None:
                gain[summary.method] = (value, *interval)
        right, interval = own[0].mean("right"), own[0].interval("right")
        apart: dict[str, Estimate] = {
            pair.of: (pair.mean, *pair.interval)
            for pair in agreements
            if pair.kind == "models" and (pair.first, pair.second) == (model, last) and pair.count
        }
        distance = {site.site: float(site.mean["distance"].mean()) for site in heads if site.model == model}
        steps.append(
            ModelStep(model, None if right is None or interval is None else (right, *interval), apart, gain, distance, cka.get(model, {}))
        )
    return ModelSeries(steps, missing)


def _cka(audit: Audit, missing: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    """Of every model but the last, the CKA of each layer to that of the last."""
    if not audit.facts["features"]:
        missing["cka"] = (
            "The audit kept no features of layers, so there is no CKA; the option features, in Python and on the command line, keeps them."
        )
        return {}
    last = audit.models[-1]
    layers = audit.features(last)
    result: dict[str, dict[str, Estimate]] = {}
    for model in audit.models[:-1]:
        if audit.features(model) != layers or not layers:
            missing[f"cka of {model}"] = f"{model} and {last} have other layers, so no layer is the same in both."
            continue
        found = _cka_of_pair(audit, model, last, layers)
        if found is None:
            missing[f"cka of {model}"] = "CKA takes parts of at least 4 pictures that could be read."
        else:
            result[model] = found
    return result


def _cka_of_pair(audit: Audit, model: str, last: str, layers: list[str]) -> dict[str, Estimate] | None:
    import torch

    from vizlib.analysis.features.cka import LEAST, StreamedCKA

    streams = [StreamedCKA("linear") for _ in layers]
    for own, others in _same_parts(audit.feature_parts(model), audit.feature_parts(last)):
        for stream, rows, last_rows in zip(streams, own, others, strict=True):
            read = ~(np.isnan(rows).any(1) | np.isnan(last_rows).any(1))
            if read.sum() >= LEAST:
                stream.add([torch.from_numpy(rows[read]), torch.from_numpy(last_rows[read])])
    if not streams[0].products:
        return None
    estimates: dict[str, Estimate] = {}
    for layer, stream in zip(layers, streams, strict=True):
        alignment = stream.result()
        low, high = (np.nan if end is None else float(end[0, 1]) for end in (alignment.low, alignment.high))
        estimates[layer] = (float(alignment.value[0, 1]), low, high)
    return estimates


def _same_parts(
    first: Iterator[tuple[int, list[np.ndarray]]], second: Iterator[tuple[int, list[np.ndarray]]]
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """The features of the same pictures by two models, whose parts come in order; what one of them lacks is left out."""
    one, other = next(first, None), next(second, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one[1], other[1]
        behind = min(one[0], other[0])
        one, other = (next(first, None) if one[0] == behind else one), (next(second, None) if other[0] == behind else other)
