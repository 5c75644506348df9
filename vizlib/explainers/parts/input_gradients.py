"""The gradient of each image's target at its pixels, by one pass there and back."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.errors import MethodError, ModelError
from vizlib.explainers.parts.attention_walk import score_of_each
from vizlib.explainers.scorer import NO_PIXELS, check_answered
from vizlib.passes.backward import gradients_on
from vizlib.passes.forward import capture_taps, check_finite
from vizlib.passes.gradient_rules import check_balanced, gradient_rule
from vizlib.tracing.shared_copy import untrained_copy
from vizlib.tracing.slopes import slopes_at

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class InputGradients:
    """Inputs x and their slopes (B, C, h, w), the targets, their scores (B,), and (states, slopes) by the name of a stage."""

    x: torch.Tensor
    slopes: torch.Tensor
    targets: list[Target]
    scores: torch.Tensor
    stages: dict[str, tuple[torch.Tensor, torch.Tensor]]


def input_gradients(model: Model, x: torch.Tensor, resolve: TargetResolver, rule: str = "plain", *, stages: bool = False) -> InputGradients:
    """d score / d x of prepared inputs (B, C, h, w), by a rule for gradients; ``stages`` asks for what the adapter names on the way too."""
    with gradients_on():
        x = model.cast(x).detach().clone().requires_grad_()
        module = untrained_copy(model.resting())
        states: dict[str, torch.Tensor] = {}
        taps = model.adapter.taps((int(x.shape[2]), int(x.shape[3]))) if stages else []
        with gradient_rule(rule), capture_taps(module, taps, states) if taps else nullcontext(module) as read:
            logits = model.run(read, x)
        check_finite(model, x, logits)
        check_balanced(model.card.name, logits, rule)
        if not logits.requires_grad:
            raise MethodError(NO_PIXELS.format(name=model.card.name))
        targets = resolve(logits.detach())
        scores = score_of_each(targets, logits)
        check_answered(model, scores)
        names = [tap.name for tap in taps if tap.name in states and states[tap.name].requires_grad]
        slopes = slopes_at(scores.sum(), [x, *(states[name] for name in names)])
    at_pixels = slopes[0]
    if at_pixels is None:
        raise MethodError(NO_PIXELS.format(name=model.card.name))
    if not bool(torch.isfinite(at_pixels).all()):
        raise ModelError(f"The map of {model.card.name} overflows in {model.dtype}; load it in float32.")
    kept = {name: (states[name].detach(), slope) for name, slope in zip(names, slopes[1:], strict=True) if slope is not None}
    return InputGradients(x.detach(), at_pixels, targets, scores.detach(), kept)
