"""A pass whose graph begins at chosen parts: what comes before them is computed without, and gradients stop there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vizlib.passes.forward import check_finite
from vizlib.passes.gradient_rules import check_balanced, gradient_rule, module_for
from vizlib.tracing.shared_copy import copy_along

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from vizlib.zoo.adapters.base import Tap
    from vizlib.zoo.model import Model


@dataclass
class PassFromLayers:
    """The logits (B, K) and what each tap named gave, by its name, one state for each time that it ran."""

    logits: torch.Tensor
    states: dict[str, list[Any]] = field(default_factory=dict)


def run_from(model: Model, x: torch.Tensor, taps: Sequence[Tap], rule: str = "plain") -> PassFromLayers:
    """Run the model once on prepared inputs (B, 3, h, w), with a graph from the first of the taps on, by a rule for gradients.

    To be used inside ``gradients_on``. What follows a tap goes on with a copy, since it may work in place.
    """
    x = model.cast(x).detach().clone()
    copied = copy_along(module_for(model.resting(), rule), [tap.path for tap in taps])
    states: dict[str, list[Any]] = {tap.name: [] for tap in taps}
    for tap in taps:
        change_at(copied, tap, partial(_opened, states[tap.name]))
    with torch.no_grad(), gradient_rule(rule):  # until the first tap
        logits = model.run(copied, x)
    check_finite(model, x, logits)
    if logits.requires_grad:
        check_balanced(model.card.name, logits, rule)
    return PassFromLayers(logits, states)


def change_at(copied: nn.Module, tap: Tap, change: Callable[[Any], Any]) -> None:
    """Let a copy of a module go on with ``change(state)`` in the place of what a tap names."""
    part = copied.get_submodule(tap.path)

    def before(_part: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(inputs[0]), *inputs[1:])

    def after(_part: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    if tap.side == "input":
        part.register_forward_pre_hook(before)
    else:
        part.register_forward_hook(after)


def _opened(states: list[Any], value: Any) -> Any:
    """A copy of a state, which itself is kept; the graph begins at the first that comes."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        states.append(value)
        return value
    torch.set_grad_enabled(mode=True)
    state = value if value.requires_grad else value.detach().requires_grad_()
    states.append(state)
    return state.clone()
