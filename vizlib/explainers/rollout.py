"""Attention rollout to the pixels (Abnar and Zuidema 2020), for any model whose steps are known, in memory linear in its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.explainers.fusion import fuser
from vizlib.explainers.result import Finding
from vizlib.passes import run
from vizlib.tracing.steps import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from vizlib.explainers.targets import Target
    from vizlib.tracing.steps import Attention, Flow
    from vizlib.zoo.model import Model


@dataclass(frozen=True)
class RolloutRule:
    """One residual weight and one way to fuse heads, at every attention."""

    residual_weight: float
    fuse: Callable[[torch.Tensor], torch.Tensor] | None

    def residual(self, step: Attention) -> float:  # noqa: ARG002  one signature for all rules
        return self.residual_weight

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        return step.site.pull(rows, self.fuse)


def explain(
    model: Model, x: torch.Tensor, settle: Callable[[torch.Tensor], list[Target]], options: dict[str, Any]
) -> tuple[list[Target], list[Finding]]:
    """The rollout of each prepared input (B, 3, h, w): r = g T_L ... T_1, T = w I + (1 - w) A at an attention, windows between grids.

    g is the read-out's row. Attention is read from q and k in row blocks; only the row vector is carried. Pixels and sink sum to 1.
    """
    done = run(model, x)
    lineage = done.lineage()
    rule = RolloutRule(options["residual_weight"], fuser(options["head_fusion"], options["discard_ratio"]))
    flow = walk(lineage.readout[:, None], lineage.steps, rule)[-1]
    return settle(done.logits), findings(flow, done.size, model.adapter.warnings(done.recording))


def findings(flow: Flow, size: tuple[int, int], warnings: tuple[str, ...] = ()) -> list[Finding]:
    """The pixel maps of a flow that has come down to the pixels of inputs (h, w), one for each image."""
    maps = flow.rows[:, 0].unflatten(1, size)
    sinks = flow.sink[:, 0].tolist()
    note = "Everything ended in learned tokens: the map is zero because no share of the answer came from a pixel along these steps."
    return [Finding(pixels, sink, (*warnings, *((note,) if sink >= 1 else ()))) for pixels, sink in zip(maps, sinks, strict=True)]
