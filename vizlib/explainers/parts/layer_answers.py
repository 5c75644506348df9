"""What a network answers when its head reads another block's tokens, by running its own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.passes.gradient_rules import gradient_rule, module_for
from vizlib.tracing.shared_copy import shared_copy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.zoo.model import Model


def answer_to(
    model: Model, x: torch.Tensor, tokens: torch.Tensor, states: LayerStates, outputs: Mapping[str, torch.Tensor], rule: str = "plain"
) -> torch.Tensor:
    """The logits (B, K) of inputs x (B, C, h, w) where the last block gives ``tokens``, with a graph from there on by a rule for gradients.

    ``outputs`` is what the blocks gave of the same inputs: where the head attends by itself they run again, so that its attentions have
    the numbers that they have in every pass, and where they give more than that; else what they gave stands in for them.
    """
    copied = shared_copy(module_for(model.resting(), rule))
    if states.alone and not states.read_outs:
        for path in states.paths:
            copied.get_submodule(path).forward = _gives(outputs[path].detach())

    def put_in(part: torch.nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001  torch's signature
        torch.set_grad_enabled(mode=True)
        return (tokens, *output[1:]) if isinstance(output, tuple) else tokens

    copied.get_submodule(states.paths[-1]).register_forward_hook(put_in)
    with torch.no_grad(), gradient_rule(rule):  # what comes before needs no graph
        return model.run(copied, x)


def _gives(output: torch.Tensor) -> Any:
    return lambda *inputs, **options: output  # noqa: ARG005  whatever a block is given
