"""What the gradient-weighted walks share: the pass with its targets, and the way down to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.gradient_passes import run_with_gradient
from vizlib.tracing.steps import Attention, Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.explainers.targets import Target
    from vizlib.passes import Pass
    from vizlib.tracing.steps import Step
    from vizlib.zoo.model import Model


def total_score(targets: Sequence[Target], logits: torch.Tensor) -> torch.Tensor:
    """The sum of each image's own score: images do not see each other, so its gradient is that of each."""
    return torch.stack([target.score(row[None])[0] for target, row in zip(targets, logits, strict=True)]).sum()


def differentiated(model: Model, x: torch.Tensor, settle: Callable[[torch.Tensor], list[Target]]) -> tuple[Pass, list[Target]]:
    """One pass over prepared inputs (B, 3, h, w) with the gradient of each image's target at every attention, and the targets."""
    targets: list[Target] = []

    def score(logits: torch.Tensor) -> torch.Tensor:
        targets.extend(settle(logits.detach()))
        return total_score(targets, logits)

    return run_with_gradient(model, x, score), targets


def descend(rows: torch.Tensor, steps: Sequence[Step], attend: Callable[[Attention, torch.Tensor], torch.Tensor]) -> list[Flow]:
    """Pull row vectors (B, R, tokens) down the steps, ``attend`` at every attention: the flow before the first step and after each."""
    flows = [Flow.start(rows)]
    for step in steps:
        last = flows[-1]
        flows.append(Flow(attend(step, last.rows), last.sink) if isinstance(step, Attention) else step.pull(last, _BELOW))
    return flows


def spread(step: Attention, moved: torch.Tensor) -> torch.Tensor:
    """What lies on an attention's keys, on the tokens that they were gathered from."""
    return moved if step.gather is None else step.gather.spread(moved)


@dataclass(frozen=True)
class _Below:
    """The rule for steps that are no attention: max-pools route as they ran."""

    even: bool = False

    def residual(self, step: Attention) -> float:
        raise NotImplementedError(step)

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(step, rows)


_BELOW = _Below()
