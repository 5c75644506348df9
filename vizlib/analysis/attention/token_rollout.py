"""A rollout that begins anywhere: at one token of one layer, down to the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.errors import MethodError
from vizlib.explainers.methods.attention.rollout import RolloutRule, pixel_outputs
from vizlib.passes.forward import run
from vizlib.tracing.token_flow import Attention, walk

if TYPE_CHECKING:
    import torch

    from vizlib.explainers.method_output import MethodOutput
    from vizlib.zoo.model import Model


def rollout(model: Model, x: torch.Tensor, residual_weight: float = 0.5) -> MethodOutput:
    """The rollout of the answer for one prepared input (1, 3, h, w); pixels and sink sum to 1."""
    forward_pass = run(model, x)
    lineage = forward_pass.lineage()
    return pixel_outputs(walk(lineage.readout[:, None], lineage.steps, RolloutRule(residual_weight, None))[-1], forward_pass.size)[0]


def rollout_from(model: Model, x: torch.Tensor, site: int, token: int, residual_weight: float = 0.5) -> MethodOutput:
    """The rollout of one prepared input (1, 3, h, w) that starts at a query of an attention, numbered in the order of execution.

    From the last attention it is ``explain(..., "rollout", token=token)`` wherever that begins at the same layer. Pixels and sink sum to
    1. MethodError for an attention or a token that is not there.
    """
    forward_pass = run(model, x)
    lineage = forward_pass.lineage()
    sites = lineage.sites
    if not 0 <= site < len(sites):
        raise MethodError(f"There are attentions 0 to {len(sites) - 1}; there is no {site}.")
    first = next(index for index, step in enumerate(lineage.steps) if isinstance(step, Attention) and step.site is sites[site])
    grid = lineage.steps[first].target
    if not 0 <= token < grid.tokens:
        raise MethodError(f"{sites[site].name} has queries 0 to {grid.tokens - 1} ({grid}); there is no {token}.")
    rows = lineage.readout.new_zeros(1, 1, grid.tokens)
    rows[..., token] = 1
    return pixel_outputs(walk(rows, lineage.steps[first:], RolloutRule(residual_weight, None))[-1], forward_pass.size)[0]
