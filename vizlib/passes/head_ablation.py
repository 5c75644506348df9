"""Passes in which parts of a model's attention are switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import MethodError
from vizlib.passes.ablation import HeadAblation
from vizlib.tracing.attention_overrides import WAYS, AttentionOverride, OverridePlan, overriding
from vizlib.tracing.attention_site import PerformerSite
from vizlib.tracing.windowed_attention import WindowedSite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.products import WeightsRead
    from vizlib.tracing.token_grid import Grid


def overrides(sites: Sequence[AttentionSite], ablation: HeadAblation) -> dict[int, AttentionOverride]:
    """What changes at each attention; MethodError for a head or key that is not there, or where no key would be left."""
    for number in {*(site for site, _ in ablation.heads), *ablation.cut}:
        if not 0 <= number < len(sites):
            raise MethodError(f"There are attentions 0 to {len(sites) - 1}; there is no {number}.")
    top = next((site.query_grid for site in reversed(sites) if site.query_grid.cells), sites[-1].key_grid)
    if ablation.dropped and not 0 <= min(ablation.dropped) <= max(ablation.dropped) < top.tokens:
        raise MethodError(f"The last grid has tokens 0 to {top.tokens - 1} ({top}); {list(ablation.dropped)} are not all among them.")
    return {number: edit for number, site in enumerate(sites) if (edit := _edit(number, site, top, ablation)) is not None}


def _edit(number: int, site: AttentionSite, top: Grid, ablation: HeadAblation) -> AttentionOverride | None:
    heads = {head: way for (at, head), way in ablation.heads.items() if at == number}
    for head, way in heads.items():
        if not 0 <= head < site.heads:
            raise MethodError(f"{site.name} has heads 0 to {site.heads - 1}; there is no {head}.")
        if way not in WAYS:
            raise MethodError(f"A head is switched off as one of {', '.join(WAYS)}, not {way!r}.")
    cut = {*ablation.cut.get(number, ()), *_covered(top, ablation.dropped, site.key_grid)}
    keys = site.k.shape[2]
    if cut and isinstance(site, WindowedSite):
        raise MethodError(f"{site.name} looks at windows, each with keys of its own, so no key stands for a token that is to be cut.")
    if cut and not 0 <= min(cut) <= max(cut) < keys:
        raise MethodError(f"{site.name} has keys 0 to {keys - 1}; {sorted(cut)} are not all among them.")
    if len(cut) == keys:
        raise MethodError(f"Nothing would be left to look at for {site.name}: leave at least one of its {keys} keys.")
    return AttentionOverride(heads, tuple(sorted(cut)), site.heads) if heads or cut else None


def _covered(top: Grid, dropped: Sequence[int], keys: Grid) -> Iterator[int]:
    """The tokens of ``keys`` that are dropped tokens of ``top``, or that dropped cells cover at least half of."""
    yield from (token for token in dropped if token < min(top.prefix, keys.prefix))
    mask = np.zeros(top.cells)
    mask[[token - top.prefix for token in dropped if token >= top.prefix]] = 1
    down, across = (_overlap(*sides) for sides in zip(keys.shape, top.shape, strict=True))
    area = down @ mask.reshape(top.shape) @ across.T
    yield from (keys.prefix + int(cell) for cell in np.flatnonzero(area.ravel() >= 0.5 - 1e-9))


def _overlap(keys: int, cells: int) -> np.ndarray:
    """How much of each of ``keys`` equal parts of a side each of ``cells`` equal parts covers: (keys, cells), rows sum to 1."""
    low, high = (np.arange(keys)[:, None] + end for end in (0, 1))
    first, last = (np.arange(cells)[None] * keys / cells, (np.arange(cells)[None] + 1) * keys / cells)
    return np.clip(np.minimum(high, last) - np.maximum(low, first), 0, None)


def without_keys(
    sites: Sequence[AttentionSite], dropped: tuple[int, ...], products: dict[int, WeightsRead] | None
) -> AbstractContextManager[None]:
    """Inside it every pass of the model whose ``sites`` these are runs without tokens of its last grid as keys of any attention.

    ``products`` are the numbers of the products that apply them, in order, where attention is known by those.
    """
    ablation = HeadAblation(dropped=dropped)
    if products is None:
        return ablated(sites, ablation)
    numbers = sorted(products)
    changed = {numbers[site]: (edit, products[numbers[site]].turned) for site, edit in overrides(sites, ablation).items()}
    return overriding(OverridePlan({}, {}, 0, changed))


def ablated(sites: Sequence[AttentionSite], ablation: HeadAblation) -> AbstractContextManager[None]:
    """Inside it every pass of the model whose ``sites`` these are runs with the ablation, in this context and no other."""
    changed = overrides(sites, ablation)
    fused = [number for number, site in enumerate(sites) if not isinstance(site, PerformerSite)]
    calls = {fused.index(number): edit for number, edit in changed.items() if number in fused}
    named = {sites[number].name: edit for number, edit in changed.items() if number not in fused}
    return overriding(OverridePlan(calls, named, len(fused)))
