"""Tokens that stand out by their norm, as the artifacts that Darcet et al. (2024) found, and a rollout that leaves them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.analysis.attention.token_norms import Norms, artifact_cells
from vizlib.errors import MethodError
from vizlib.explainers.methods.attention.rollout import pixel_outputs
from vizlib.explainers.parts.artifact_tokens import robust_scores
from vizlib.passes.forward import run
from vizlib.tracing.token_flow import walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.analysis.attention.token_norms import Shape
    from vizlib.explainers.method_output import MethodOutput
    from vizlib.passes.forward import Trace
    from vizlib.tracing.token_flow import Attention
    from vizlib.zoo.model import Model

__all__ = ["Norms", "artifact_cells", "norms", "robust_scores", "rollout_without"]


def norms(trace: Trace) -> list[Norms]:
    """The norms of every layer whose tokens lie where some attention asks from, in the order of execution."""
    grids = {site.query_grid.shape for site in trace.attention}
    layers = []
    for name, state in trace.features.items():
        if tuple(state.shape[1:]) in grids:
            length = state.double().norm(dim=0)
            layers.append(Norms(name, length.cpu().numpy(), robust_scores(length).cpu().numpy()))
    return layers


def rollout_without(model: Model, x: torch.Tensor, odd: Mapping[Shape, Sequence[int]], residual_weight: float = 0.5) -> MethodOutput:
    """The rollout of one prepared input (1, 3, h, w) in which no walk enters the ``odd`` cells of a grid; pixels and sink sum to 1.

    Keys on such a cell weigh nothing and the others share the row; a read-out that counts it loses it likewise. Keys that were gathered
    from several tokens stay. MethodError where nothing would be left.
    """
    forward_pass = run(model, x)
    lineage = forward_pass.lineage()
    rows = lineage.readout[:, None].clone()
    top = next(step.target for step in lineage.steps if step.target.cells)
    if rows.shape[-1] == top.tokens:
        rows[..., [top.prefix + cell for cell in odd.get(top.shape, ())]] = 0
    total = rows.sum(-1, keepdim=True)
    if not bool((total > 0).all()):
        raise MethodError("Every token that the answer is read from stands out; raise the threshold.")
    return pixel_outputs(walk(rows / total, lineage.steps, _Without(residual_weight, odd))[-1], forward_pass.size)[0]


@dataclass(frozen=True)
class _Without:
    residual_weight: float
    odd: Mapping[Shape, Sequence[int]]
    even: bool = False

    def residual(self, step: Attention) -> float:  # noqa: ARG002  one signature for all rules
        return self.residual_weight

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        grid = step.site.key_grid
        keys = [grid.prefix + cell for cell in self.odd.get(grid.shape, ())] if step.gather is None else []
        if not keys:
            return step.site.pull(rows)
        if len(keys) == grid.tokens:
            raise MethodError(f"Every key of {step.site.name} stands out; raise the threshold.")

        def fuse(weights: torch.Tensor) -> torch.Tensor:
            return weights.mean(1).index_fill(-1, torch.tensor(keys, device=weights.device), 0)

        return step.site.pull(rows, fuse)
