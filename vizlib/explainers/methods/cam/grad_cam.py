"""Grad-CAM (Selvaraju et al. 2017) on a last feature map, and the same on a transformer's grid of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.attention_walk import total_score
from vizlib.explainers.parts.cells_on_pixels import on_pixels
from vizlib.passes.backward import gradients, gradients_on, run_live
from vizlib.passes.forward import check_finite
from vizlib.passes.gradient_rules import check_balanced, gradient_rule, module_for
from vizlib.tracing.shared_copy import capture_outputs
from vizlib.zoo.adapters.feature_map import lacking_feature_map
from vizlib.zoo.adapters.place_reader import maps_in

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.zoo.adapters import Size
    from vizlib.zoo.model import Model

MOST_CANDIDATES = 12  # maps before the answer that are looked at, and layers that an error names
SILENT = "Nothing in the last feature map speaks for this target: the map is zero."


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k a_k A_k), a_k the mean over places of d score / d A_k, A the last feature map, for each prepared input (B, 3, h, w).

    A transformer's A are the tokens of the last grid whose cells the answer depends on: a class token reads those that enter the last
    block, a mean or a pooling those that leave it. ``layer`` names the part that gives A. The map is resized bilinearly to the pixels
    that its cells cover. MethodError where the answer does not depend on the map, and for a layer that gives none, with those that do.
    """
    targets, resized = on_last_map(model, x, resolve, options["layer"], options["gradient"])
    return targets, [MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (SILENT,)) for pixel_map in resized]


def on_last_map(
    model: Model, x: torch.Tensor, resolve: TargetResolver, layer: str = "", rule: str = "plain"
) -> tuple[list[Target], torch.Tensor]:
    """Targets and maps (B, h, w) float64 on the inputs, of the layer with this path or of the last map that the answer is read from."""
    size = (int(x.shape[2]), int(x.shape[3]))
    model.adapter.check_placement(size)
    stride: tuple[int, int] | None = None
    if layer:
        targets, maps = _on_maps(model, x, resolve, {layer: _chosen(model, layer, size)}, rule)
    else:
        taps = model.adapter.taps(size)
        if taps and taps[-1].grid is not None:
            targets, maps = _on_tokens(model, x, resolve, rule)
            stride = model.adapter.stride()
        elif (path := model.adapter.feature_layer()) is not None:
            targets, maps = on_features(model, x, resolve, path, rule)
            stride = model.adapter.stride()
        else:
            targets, maps = _on_maps(model, x, resolve, _last_maps(model, size), rule)
    return targets, on_pixels(maps, size, stride)


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
        raise MethodError(f"No part of {model.card.name} gives a map of {size[0]} x {size[1]} inputs whose cells lie on the image.")
    return dict(list(candidates.items())[:MOST_CANDIDATES])


def _on_maps(
    model: Model, x: torch.Tensor, resolve: TargetResolver, candidates: dict[str, Lying], rule: str
) -> tuple[list[Target], torch.Tensor]:
    """Targets and maps (B, rows, columns) float64 of the first of the candidates whose cells the answer depends on."""
    with gradients_on():
        live = run_live(model, x, layers=list(candidates), rule=rule)
        targets = resolve(live.logits.detach())
        score = total_score(targets, live.logits)
        reached = False
        for path, how in candidates.items():
            state = live.states.get(path)
            cells = how.cells(state) if isinstance(state, torch.Tensor) and state.requires_grad else None
            if state is None or cells is None:
                continue
            try:
                (slope,) = gradients(model, score, [state], keep_graph=True)
            except MethodError:
                continue  # not on the way to the answer
            reached = True
            slopes = how.cells(slope)
            assert slopes is not None  # noqa: S101  a gradient has its tensor's shape
            if bool(slopes.any()):
                values, weights = cells.detach().to(torch.float64), slopes.to(torch.float64).mean(1)
                maps = torch.einsum("bnc,bc->bn", values, weights).clamp_min(0)
                return targets, maps.unflatten(1, how.grid.shape)
    if not reached:
        names = ", ".join(candidates)
        raise MethodError(f"The answer of {model.card.name} does not depend on a map that {names} gives.")
    grid = next(iter(candidates.values())).grid
    return targets, torch.zeros(len(x), *grid.shape, dtype=torch.float64, device=live.x.device)


def on_features(
    model: Model, x: torch.Tensor, resolve: TargetResolver, path: str, rule: str = "plain"
) -> tuple[list[Target], torch.Tensor]:
    """Targets and maps (B, rows, columns) float64 of the feature map (B, C, rows, columns) at a path, in one pass there and back to it."""
    outputs: list[Any] = []
    x = model.cast(x).detach().clone().requires_grad_()
    module = module_for(model.resting(), rule)
    with gradients_on(), capture_outputs(module, [path], lambda _, output: outputs.append(output)) as copied:
        with gradient_rule(rule):
            logits = model.run(copied, x)
        check_finite(model, x, logits)
        check_balanced(model.card.name, logits, rule)
        targets = resolve(logits.detach())
        score = total_score(targets, logits)
        if score.requires_grad and (reason := lacking_feature_map(outputs, score)):
            raise MethodError(f"Grad-CAM does not fit {model.card.name}: its last feature map, {path}, {reason}.")
        (slope,) = gradients(model, score, outputs)
    values, weights = outputs[0].detach().to(torch.float64), slope.to(torch.float64).mean((2, 3))
    return targets, torch.einsum("bchw,bc->bhw", values, weights).clamp_min(0)


def _on_tokens(model: Model, x: torch.Tensor, resolve: TargetResolver, rule: str) -> tuple[list[Target], torch.Tensor]:
    """The same on tokens (B, prefix + cells, C) or (B, rows, columns, C)."""
    with gradients_on():
        live = run_live(model, x, keep_states=True, rule=rule)
        targets = resolve(live.logits.detach())
        taps = [tap for tap in model.adapter.taps(live.size) if tap.grid is not None]
        slopes = gradients(model, total_score(targets, live.logits), [live.states[tap.name] for tap in taps])
    for tap, slope in zip(reversed(taps), reversed(slopes), strict=True):
        assert tap.grid is not None  # noqa: S101  those without were left out
        tokens = slope.flatten(1, -2)
        if tokens.shape[1] != tap.grid.tokens:
            raise MethodError(
                f"{tap.path} gives {tokens.shape[1]} tokens where the architecture has {tap.grid.tokens} ({tap.grid}), "
                "so where they lie is not certain."
            )
        cells = tokens[:, tap.grid.prefix :].to(torch.float64)
        if bool(cells.any()):
            values = live.states[tap.name].detach().flatten(1, -2)[:, tap.grid.prefix :].to(torch.float64)
            maps = torch.einsum("bnc,bc->bn", values, cells.mean(1)).clamp_min(0)
            return targets, maps.unflatten(1, tap.grid.shape)
    grid = taps[-1].grid
    assert grid is not None  # noqa: S101  those without were left out
    return targets, torch.zeros(len(x), *grid.shape, dtype=torch.float64, device=live.x.device)
