"""Grad-CAM (Selvaraju et al. 2017): by captum on a last feature map, and the same on a transformer's grid of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.attention_walk import total_score
from vizlib.explainers.parts.cells_on_pixels import on_pixels
from vizlib.explainers.scorer import check_differentiable, checked_maps, make_scorer
from vizlib.passes.backward import gradients, gradients_on, run_live
from vizlib.zoo.adapters.feature_map import lacking_feature_map

if TYPE_CHECKING:
    from vizlib.explainers.scorer import TargetScorer
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

SILENT = "Nothing in the last feature map speaks for this target: the map is zero."


def explain(
    model: Model,
    x: torch.Tensor,
    resolve: TargetResolver,
    options: dict[str, Any],  # noqa: ARG001  it has none
) -> tuple[list[Target], list[MethodOutput]]:
    """relu(sum_k a_k A_k), a_k the mean over places of d score / d A_k, A the last feature map, for each prepared input (B, 3, h, w).

    A transformer's A are the tokens of the last grid whose cells the answer depends on: a class token reads those that enter the last
    block, a mean or a pooling those that leave it. The map is resized bilinearly to the pixels that its cells cover. MethodError where
    the answer does not depend on the map.
    """
    size = (int(x.shape[2]), int(x.shape[3]))
    model.adapter.check_placement(size)
    taps = model.adapter.taps(size)
    by_tokens = bool(taps) and taps[-1].grid is not None
    targets, maps = _on_tokens(model, x, resolve) if by_tokens else on_features(model, x, resolve)
    resized = on_pixels(maps, size, model.adapter.stride())
    return targets, [MethodOutput(pixel_map, None, () if bool(pixel_map.any()) else (SILENT,)) for pixel_map in resized]


def on_features(model: Model, x: torch.Tensor, resolve: TargetResolver) -> tuple[list[Target], torch.Tensor]:
    """Targets and maps (B, rows, columns) float64 of the last feature map, by captum."""
    from captum.attr import LayerGradCam

    path = model.adapter.feature_layer()
    with gradients_on():
        scorer = make_scorer(model, x, resolve)
        check_differentiable(scorer)
        _check_feature_map(scorer, path)
        layer = scorer.copied.get_submodule(path)
        maps = LayerGradCam(scorer.scores, layer).attribute(scorer.x.clone().requires_grad_(), relu_attributions=True)
    return scorer.targets, checked_maps(scorer, maps)[:, 0]


def _on_tokens(model: Model, x: torch.Tensor, resolve: TargetResolver) -> tuple[list[Target], torch.Tensor]:
    """The same on tokens (B, prefix + cells, C) or (B, rows, columns, C)."""
    with gradients_on():
        live = run_live(model, x, keep_states=True)
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


def _check_feature_map(scorer: TargetScorer, path: str) -> None:
    """MethodError when the part's output is not one map (B, C, rows, columns) that the answer depends on."""
    outputs: list[Any] = []
    handle = scorer.copied.get_submodule(path).register_forward_hook(lambda part, inputs, output: outputs.append(output))  # noqa: ARG005
    try:
        score = scorer.for_image(0).scores(scorer.x[:1].clone().requires_grad_())
    finally:
        handle.remove()
    reason = lacking_feature_map(outputs, score)
    if reason:
        raise MethodError(f"Grad-CAM does not fit {scorer.model.card.name}: its last feature map, {path}, {reason}.")
