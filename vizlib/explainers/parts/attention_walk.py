"""What the gradient-weighted walks share: the pass with its targets, and the way down to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizlib.passes.backward import run_with_gradient
from vizlib.tracing.branched_flow import Branched
from vizlib.tracing.token_flow import Attention, Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.passes.forward import Pass
    from vizlib.tracing.branched_flow import Resampled
    from vizlib.tracing.token_flow import Step
    from vizlib.zoo.adapters.base import Classifier
    from vizlib.zoo.model import Model


def score_of_each(targets: Sequence[Target], logits: torch.Tensor) -> torch.Tensor:
    """Each image's own score (B,) of logits (B, K), at least float32."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.stack([target.score(row[None])[0] for target, row in zip(targets, logits, strict=True)])


def total_score(targets: Sequence[Target], logits: torch.Tensor) -> torch.Tensor:
    """The sum () of each image's own score of logits (B, K): images do not see each other, so its gradient is that of each."""
    return score_of_each(targets, logits).sum()


def differentiated(
    model: Model, x: torch.Tensor, resolve: TargetResolver, classifier: Classifier | None = None, rule: str = "plain"
) -> tuple[Pass, list[Target]]:
    """One pass over prepared inputs (B, 3, h, w) with the gradient of each image's target at every attention, and the targets.

    The targets are resolved from what the model answers, and their score is that of ``classifier`` where one of several is asked; ``rule``
    is what gradients go by.
    """
    targets: list[Target] = []

    def score(logits: torch.Tensor, classifier_logits: torch.Tensor | None = None) -> torch.Tensor:
        targets.extend(resolve(logits.detach()))
        return total_score(targets, logits if classifier_logits is None else classifier_logits)

    return run_with_gradient(model, x, score, None if classifier is None else classifier.path, rule), targets


def descend(
    rows: torch.Tensor,
    steps: Sequence[Step],
    attend: Callable[[Attention, torch.Tensor], Flow],
    parting: Callable[[Sequence[Attention]], tuple[float, float]],
    around: Callable[[Resampled, torch.Tensor], Flow] | None = None,
) -> list[Flow]:
    """Pull row vectors (B, R, tokens) down the steps: the flow before the first step and after each.

    ``attend`` gives what becomes of the row vectors at an attention, and what of them goes into the sink there; ``parting`` by what the
    skip and the branch of a residual are multiplied whose branch holds these attentions among other steps; ``around``, where given, what
    becomes of them at a residual whose branch is one attention with its rows resampled.
    """
    flows = [Flow.start(rows)]
    for step in steps:
        last = flows[-1]
        if isinstance(step, Attention):
            flow = attend(step, last.rows)
            flows.append(Flow(flow.rows, last.sink + flow.sink))
        elif isinstance(step, Branched) and around is not None and step.resampled is not None:
            flow = around(step.resampled, last.rows)
            flows.append(Flow(flow.rows, last.sink + flow.sink))
        elif isinstance(step, Branched):
            flows.append(step.descend(last, attend, parting))
        else:
            flows.append(step.pull(last, _BELOW))
    return flows


@dataclass(frozen=True)
class _Below:
    """The rule for steps that are no attention: max-pools route as they ran."""

    even: bool = False

    def residual(self, step: Attention) -> float:
        raise NotImplementedError(step)

    def attend(self, step: Attention, rows: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(step, rows)


_BELOW = _Below()
