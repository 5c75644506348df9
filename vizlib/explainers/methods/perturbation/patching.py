"""Activation patching (Izadi et al. 2026): what a region's activations bring to a picture without evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.scorer import checked_maps, make_scorer
from vizlib.passes.from_layers import change_at
from vizlib.tracing.module_walk import unwatched
from vizlib.tracing.shared_copy import copy_along
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Tap
from vizlib.zoo.adapters.place_reader import maps_in

if TYPE_CHECKING:
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.adapters import Size
    from vizlib.zoo.model import Model

STILL = "No region brought the score anything: the map is zero."


@dataclass(frozen=True, eq=False)
class PatchedLayer:
    """What a layer gave of the picture (1, ...), and how its cells lie: channels first, or tokens after learned ones, or channels last."""

    tap: Tap
    given: torch.Tensor
    grid: Grid
    channels_first: bool

    def inside(self, region: torch.Tensor, regions: tuple[int, int]) -> torch.Tensor:
        """Which of its activations lie in each of the regions (n,) of (rows, columns): bool (n, ...), broadcast over channels."""
        rows, columns = (
            (torch.arange(cells, device=region.device) * 2 + 1) * count // (2 * cells)
            for cells, count in zip(self.grid.shape, regions, strict=True)
        )
        own = (rows[:, None] * regions[1] + columns)[None] == region[:, None, None]
        if self.channels_first:
            return own[:, None]
        if self.given.ndim == 4:
            return own[..., None]
        learned = own.new_zeros(len(region), self.grid.prefix)
        return torch.cat([learned, own.flatten(1)], 1)[:, :, None]


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """score(b with the activations of x in region r) - score(b) for each region r of a grid, b the baseline, for each input (B, 3, h, w).

    A pass over b goes on with the activations that x has at the cells of r, after each of the layers from ``start`` to ``stop`` of the
    depth; learned tokens keep those of b. Each pixel carries its region's value. MethodError where no layer in that range has cells.
    """
    if options["start"] >= options["stop"]:
        raise MethodError(f"patching takes start below stop, not {options['start']} and {options['stop']}.")
    taps = _chosen_taps(model, (int(x.shape[2]), int(x.shape[3])), options)
    with torch.inference_mode(mode=False), torch.no_grad():
        batch_scorer = make_scorer(model, x, resolve)
        outputs = [_patched(batch_scorer.for_image(index), taps, options) for index in range(len(x))]
    return batch_scorer.targets, outputs


def _chosen_taps(model: Model, size: Size, options: dict[str, Any]) -> list[Tap]:
    """The tokens of blocks; where there are none the maps of stages, or of any parts that have cells."""
    model.adapter.check_placement(size)
    taps = model.adapter.taps(size)
    taps = [tap for tap in taps if tap.grid is not None] or taps
    if not taps:
        taps = [Tap(path, path, how.grid if how.form == "tokens" else None) for path, how in maps_in(model.module, size).items()]
    chosen = taps[int(options["start"] * len(taps)) : max(1, round(options["stop"] * len(taps)))]
    if not chosen:
        none = f"{model.card.name} has no layer with cells from {options['start']} to {options['stop']} of its depth"
        raise MethodError(f"{none}{unwatched(model.module)}.")
    return chosen


def _read_layers(scorer: TargetScorer, taps: list[Tap]) -> list[PatchedLayer]:
    """What the layers give of the picture; one whose output is no such map as it says is left out."""
    given: dict[str, torch.Tensor] = {}
    copied = copy_along(scorer.model.resting(), [tap.path for tap in taps])
    for tap in taps:
        change_at(copied, tap, partial(_keep, given, tap.name))
    replace(scorer, copied=copied).scores(scorer.x)
    layers = []
    for tap in taps:
        state = given.get(tap.name)
        if state is None:
            continue
        if tap.grid is None and state.ndim == 4:
            layers.append(PatchedLayer(tap, state, Grid(*state.shape[2:]), channels_first=True))
        elif tap.grid is not None and state.flatten(1, -2).shape[1] == tap.grid.tokens:
            layers.append(PatchedLayer(tap, state, tap.grid, channels_first=False))
    if not layers:
        raise MethodError(f"No layer of {scorer.model.card.name} in that range gives cells that lie on the picture.")
    return layers


def _patched(scorer: TargetScorer, taps: list[Tap], options: dict[str, Any]) -> MethodOutput:
    empty = baseline(scorer.model, scorer.x, options["baseline"])
    scorer.expect(options["cells"] ** 2 + 2)
    layers = _read_layers(scorer, taps)
    rows, columns = (min(options["cells"], *(layer.grid.shape[side] for layer in layers)) for side in (0, 1))
    scorer.expect(rows * columns + 1)
    start = scorer.scores(empty).double()
    rises = []
    for chunk in torch.arange(rows * columns, device=scorer.x.device).split(scorer.batch_size(gradients=False)):
        patched = copy_along(scorer.model.resting(), [layer.tap.path for layer in layers])
        for layer in layers:
            change_at(patched, layer.tap, partial(_put, layer, layer.inside(chunk, (rows, columns))))
        rises.append(replace(scorer, copied=patched).scores(empty.expand(len(chunk), -1, -1, -1)).double() - start)
    cells = checked_maps(scorer, torch.cat(rises)).reshape(1, 1, rows, columns)
    size = (int(scorer.x.shape[2]), int(scorer.x.shape[3]))
    pixels = torch.nn.functional.interpolate(cells, size=size, mode="nearest-exact")[0, 0]
    return MethodOutput(pixels, None, () if bool(pixels.any()) else (STILL,))


def _keep(given: dict[str, torch.Tensor], name: str, state: Any) -> Any:
    if isinstance(state, torch.Tensor):
        given[name] = state.clone()
    return state


def _put(layer: PatchedLayer, inside: torch.Tensor, state: Any) -> Any:
    return torch.where(inside, layer.given, state)
