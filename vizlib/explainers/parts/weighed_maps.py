"""The map that a class activation map weighs: its values, the slopes of the score there, and the way to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.attention_walk import total_score
from vizlib.explainers.parts.cells_on_pixels import on_pixels
from vizlib.passes.backward import gradients, gradients_on
from vizlib.passes.from_layers import run_from
from vizlib.tracing.module_walk import unwatched
from vizlib.zoo.adapters.base import Tap
from vizlib.zoo.adapters.feature_map import lacking_feature_map
from vizlib.zoo.adapters.place_reader import maps_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.zoo.adapters import Size
    from vizlib.zoo.model import Model

    Score = Callable[[Sequence[Target], torch.Tensor], torch.Tensor]
    Weigh = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

MOST_CANDIDATES = 12  # maps before the answer that are looked at, and layers that an error names
SILENT = "Nothing in the feature map speaks for this target: the map is zero."


@dataclass(frozen=True, eq=False)
class WeighedMap:
    """Values and slopes (B, cells, C) float64 of one map, None where no slope is anything but zero, and how its cells lie."""

    targets: list[Target]
    values: torch.Tensor | None
    slopes: torch.Tensor | None
    shape: tuple[int, int]
    stride: Size | None
    images: int


def cam(
    model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any], weigh: Weigh, score: Score = total_score
) -> tuple[list[Target], list[MethodOutput]]:
    """Targets and maps of inputs (B, 3, h, w): ``weigh`` makes maps (B, cells) of values and slopes (B, cells, C).

    The map is the last that the answer depends on: of a transformer the tokens of the last grid, those that enter the last block where a
    class token reads them. ``layer`` names the part that gives another. The map is resized bilinearly to the pixels that its cells cover.
    MethodError where the answer does not depend on the map, and for a layer that gives none, with those that do.
    """
    targets, resized = cam_maps(model, x, resolve, weigh, options.get("layer", ""), options.get("gradient", "plain"), score)
    return targets, [MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (SILENT,)) for pixel_map in resized]


def cam_maps(
    model: Model,
    x: torch.Tensor,
    resolve: TargetResolver,
    weigh: Weigh,
    layer: str = "",
    rule: str = "plain",
    score: Score = total_score,
) -> tuple[list[Target], torch.Tensor]:
    """Targets and maps (B, h, w) float64 on the inputs."""
    size = (int(x.shape[2]), int(x.shape[3]))
    found = weighed_map(model, x, resolve, layer, rule, score)
    if found.values is None or found.slopes is None:
        cells = torch.zeros(found.images, *found.shape, dtype=torch.float64, device=model.device)
    else:
        cells = weigh(found.values, found.slopes).unflatten(1, found.shape)
    return found.targets, on_pixels(cells, size, found.stride)


def weighed_map(
    model: Model, x: torch.Tensor, resolve: TargetResolver, layer: str = "", rule: str = "plain", score: Score = total_score
) -> WeighedMap:
    """The map of the layer with this path, or the last one that the answer is read from, of inputs (B, 3, h, w)."""
    size = (int(x.shape[2]), int(x.shape[3]))
    model.adapter.check_placement(size)
    with gradients_on():
        if layer:
            return _on_maps(model, x, resolve, {layer: _chosen(model, layer, size)}, rule, score)
        taps = [tap for tap in model.adapter.taps(size) if tap.grid is not None]
        if taps and model.adapter.taps(size)[-1].grid is not None:
            # Two are enough wherever a class token or a mean reads the last grid.
            found = _on_tokens(model, x, resolve, taps[-2:], rule, score)
            return found if found.values is not None or len(taps) <= 2 else _on_tokens(model, x, resolve, taps, rule, score)
        if (path := model.adapter.feature_layer()) is not None:
            return on_features(model, x, resolve, path, rule, score)
        return _on_maps(model, x, resolve, _last_maps(model, size), rule, score)


def _chosen(model: Model, layer: str, size: Size) -> Lying:
    """How the places lie in what a layer gives; MethodError, with the layers that give a map, for one that gives none."""
    maps = maps_in(model.module, size)
    if layer not in maps:
        last = list(maps)[::-1]
        known = layer in dict(model.module.named_modules(remove_duplicate=False))
        what = f"{layer} gives no map whose cells lie on the image" if known else f"{model.card.name} has no part {layer!r}"
        more = f" and {len(last) - MOST_CANDIDATES} before them" if len(last) > MOST_CANDIDATES else ""
        raise MethodError(f"{what}; those that give a map are, the last first, {', '.join(last[:MOST_CANDIDATES]) or 'none'}{more}.")
    return maps[layer]


def _last_maps(model: Model, size: Size) -> dict[str, Lying]:
    candidates = model.adapter.last_maps(size)
    if not candidates:
        none = f"No part of {model.card.name} gives a map of {size[0]} x {size[1]} inputs whose cells lie on the image"
        raise MethodError(f"{none}{unwatched(model.module)}.")
    return dict(list(candidates.items())[:MOST_CANDIDATES])


def _on_maps(model: Model, x: torch.Tensor, resolve: TargetResolver, candidates: dict[str, Lying], rule: str, score: Score) -> WeighedMap:
    """The first of the candidates whose cells the answer depends on."""
    live = run_from(model, x, [Tap(path, path) for path in candidates], rule)
    targets = resolve(live.logits.detach())
    goal = score(targets, live.logits)
    reached = False
    for path, how in candidates.items():
        state = live.states[path][-1] if live.states[path] else None
        cells = how.cells(state) if isinstance(state, torch.Tensor) and state.requires_grad else None
        if state is None or cells is None or not live.logits.requires_grad:
            continue
        try:
            (slope,) = gradients(model, goal, [state], keep_graph=True)
        except MethodError:
            continue  # not on the way to the answer
        reached = True
        slopes = how.cells(slope)
        assert slopes is not None  # noqa: S101  a gradient has its tensor's shape
        if bool(slopes.any()):
            return WeighedMap(targets, cells.detach().double(), slopes.double(), how.grid.shape, None, len(x))
    if not reached:
        names = ", ".join(candidates)
        raise MethodError(f"The answer of {model.card.name} does not depend on a map that {names} gives.")
    return WeighedMap(targets, None, None, next(iter(candidates.values())).grid.shape, None, len(x))


def on_features(model: Model, x: torch.Tensor, resolve: TargetResolver, path: str, rule: str, score: Score) -> WeighedMap:
    """The feature map (B, C, rows, columns) at a path."""
    live = run_from(model, x, [Tap(path, path)], rule)
    outputs = live.states[path]
    targets = resolve(live.logits.detach())
    goal = score(targets, live.logits)
    if (goal.requires_grad or not live.logits.requires_grad) and (reason := lacking_feature_map(outputs, goal)):
        raise MethodError(f"Grad-CAM does not fit {model.card.name}: its last feature map, {path}, {reason}.")
    (slope,) = gradients(model, goal, outputs)
    values, slopes = (tensor.detach().double().flatten(2).transpose(1, 2) for tensor in (outputs[0], slope))
    return WeighedMap(targets, values, slopes, (int(slope.shape[2]), int(slope.shape[3])), model.adapter.stride(), len(x))


def _on_tokens(model: Model, x: torch.Tensor, resolve: TargetResolver, taps: Sequence[Tap], rule: str, score: Score) -> WeighedMap:
    """The tokens (B, prefix + cells, C) or (B, rows, columns, C) of the last of the taps whose cells the answer depends on."""
    live = run_from(model, x, taps, rule)
    targets = resolve(live.logits.detach())
    goal = score(targets, live.logits)
    for tap in reversed(taps):
        assert tap.grid is not None  # noqa: S101  those without were left out
        state = live.states[tap.name][-1]
        (slope,) = gradients(model, goal, [state], keep_graph=True)
        tokens = slope.flatten(1, -2)
        if tokens.shape[1] != tap.grid.tokens:
            raise MethodError(
                f"{tap.path} gives {tokens.shape[1]} tokens where the architecture has {tap.grid.tokens} ({tap.grid}), "
                "so where they lie is not certain."
            )
        cells = tokens[:, tap.grid.prefix :]
        if bool(cells.any()):
            values = state.detach().flatten(1, -2)[:, tap.grid.prefix :]
            return WeighedMap(targets, values.double(), cells.double(), tap.grid.shape, model.adapter.stride(), len(x))
    grid = taps[-1].grid
    assert grid is not None  # noqa: S101  those without were left out
    return WeighedMap(targets, None, None, grid.shape, model.adapter.stride(), len(x))
