"""The layers of any model in one list: where each lies in depth and on the image, and its cells as tokens."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from vizlib.analysis.features.layer import Layer
from vizlib.errors import MethodError
from vizlib.passes.forward import Pass, check_finite
from vizlib.tracing.recorder import record
from vizlib.tracing.shared_copy import hooked_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.tracing.shared_copy import Hook
    from vizlib.zoo.adapters import Tap
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class Reading:
    """One pass over inputs: the layers, the states (B, cells, C) of each, and apart from them the learned tokens (B, prefix, C)."""

    layers: list[Layer]
    states: list[torch.Tensor]
    learned: list[torch.Tensor]
    forward_pass: Pass

    def maps(self, index: int) -> torch.Tensor:
        """The states of one layer as maps (B, C, h, w)."""
        return self.states[index].transpose(1, 2).unflatten(2, self.layers[index].grid)


def taps(model: Model, size: tuple[int, int]) -> list[Tap]:
    """Every layer that is compared, for an input (h, w): what a trace keeps, with stages of residual blocks taken apart.

    MethodError for a model whose layers are not known.
    """
    from vizlib.zoo.adapters import Tap

    parts = dict(model.module.named_modules())
    layers: list[Tap] = []
    for tap in model.adapter.taps(size):
        part = parts[tap.path]
        whole = isinstance(part, nn.Sequential) and len(part) > 0 and all(any(child.children()) for child in part)
        if tap.grid is None and whole:
            layers += [Tap(f"{tap.name}.{name}", f"{tap.path}.{name}") for name, _ in part.named_children()]
        else:
            layers.append(tap)
    if not layers:
        raise MethodError(f"The layers of {model.card.name} are not known to vizlib, so its features cannot be compared.")
    return layers


def read(model: Model, x: torch.Tensor, *, hooks: Sequence[tuple[str, Hook]] = (), live: bool = False) -> Reading:
    """Run the model once on prepared inputs (B, 3, h, w) and read every layer, in the model's precision.

    ``hooks`` are called as by ``tracing.shared_copy.hooked``. ``live`` keeps the graph back to a copy of the input, ``forward_pass.x``,
    inside ``gradient_passes.gradients_on``. MethodError where the layers are not known.
    """
    x = model.cast(x)
    if live:
        x = x.detach().clone().requires_grad_()
    wanted = taps(model, (int(x.shape[2]), int(x.shape[3])))
    states: dict[str, torch.Tensor] = {}
    keep = [(tap.path, _keeper(states, tap.path)) for tap in wanted]
    with nullcontext() if live else torch.inference_mode(), hooked_copy(model.resting(), [*keep, *hooks]) as copied:
        recording = record(lambda: model.run(copied, x))
        forward_pass = Pass(model, x, recording)
        check_finite(model, x, forward_pass.logits)
        return _arranged(forward_pass, wanted, states)


def _arranged(forward_pass: Pass, wanted: Sequence[Tap], states: dict[str, torch.Tensor]) -> Reading:
    layers, cells, learned = [], [], []
    for number, tap in enumerate(wanted):
        if tap.path not in states:
            raise MethodError(f"{tap.path} of {forward_pass.model.card.name} does not run as a part of a forward pass, so it is not read.")
        state = states[tap.path]
        if tap.grid is None:
            grid = (int(state.shape[2]), int(state.shape[3]))
            tokens, prefix = state.flatten(2).transpose(1, 2), 0
        else:
            grid, prefix = tap.grid.shape, tap.grid.prefix
            tokens = state.flatten(1, -2)
        layers.append(Layer(tap.name, (number + 1) / len(wanted), grid, int(tokens.shape[2]), forward_pass.size))
        cells.append(tokens[:, prefix:])
        learned.append(tokens[:, :prefix])
    return Reading(layers, cells, learned, forward_pass)


def _keeper(into: dict[str, torch.Tensor], path: str) -> Hook:
    return lambda inputs, output: into.update({path: output})  # noqa: ARG005  one signature for all hooks
