"""A model and its targets as captum wants them: a function from any number of images to one score each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vizlib.engine.memory import available_memory
from vizlib.engine.progress import tell
from vizlib.errors import MethodError, ModelError, TargetError
from vizlib.passes.device_memory import in_parts
from vizlib.passes.forward import check_finite
from vizlib.passes.gradient_rules import check_balanced, gradient_rule, module_for
from vizlib.tracing.autograd_graph import depends_on
from vizlib.tracing.shared_copy import check_forward_follows, shared_copy

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

BATCH_BYTES = 1 << 30  # bytes that one batch may take; the same on every machine, so that maps are the same too
CPU_BATCH_BYTES = 1 << 26  # without gradients on a CPU, where what lies in its cache is up to twice as fast as a larger batch
CPU_GRADIENT_BYTES = 1 << 27  # with them, where a larger batch is no faster and keeps all that it computed
FEW, FEW_BYTES = 4, 1 << 29  # but a few ViTs together are a tenth faster than one by one
MAX_BATCH = 64
NO_PIXELS = (
    "No gradient of this target reaches the pixels of {name}: something on the way is quantised, detached or run without gradients. See "
    "that it does not run under no_grad, take the float weights, or a method that needs no gradient."
)


@dataclass
class _Progress:
    completed: int = 0
    total: int | None = None


@dataclass(frozen=True, eq=False)
class TargetScorer:
    """Prepared images x (B, 3, h, w), their targets and logits (B, K), and a shared copy of the module that answers for any others.

    ``bytes_per_image`` is about how many bytes one image takes on its way through, ``rule`` what gradients of the scores go by.
    """

    model: Model
    copied: nn.Module
    x: torch.Tensor
    targets: list[Target]
    logits: torch.Tensor
    bytes_per_image: int
    progress: _Progress = field(default_factory=_Progress)
    rule: str = "plain"

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """The target's score (n,) of images (n, 3, h, w), at least float32; image i is a variant of x's image i modulo B."""
        values = self.answers(images)
        self.went_through(len(images))
        return self.scores_of(values)

    def went_through(self, images: int) -> None:
        """Say that so many images went through, for who listens to the progress."""
        self.progress.completed += images
        tell(self.progress.completed, self.progress.total)

    def answers(self, images: torch.Tensor) -> torch.Tensor:
        """The logits (n, K) of images (n, 3, h, w), at least float32."""
        # With a graph to keep, halves take as much together as the whole does.
        values = self._answers(images) if torch.is_grad_enabled() else torch.cat(in_parts(self._answers, images))
        return values.to(torch.promote_types(values.dtype, torch.float32))

    def _answers(self, images: torch.Tensor) -> torch.Tensor:
        with gradient_rule(self.rule):
            return self.model.run(self.copied, images.to(self.x.dtype))

    def scores_of(self, values: torch.Tensor) -> torch.Tensor:
        """The target's score (n,) of logits (n, K), row i of a variant of x's image i modulo B."""
        if len(set(self.targets)) == 1:
            return self.targets[0].score(values)
        return torch.stack([self.targets[index % len(self.x)].score(row[None])[0] for index, row in enumerate(values)])

    def module(self) -> nn.Module:
        """``scores`` as a module, images (n, 3, h, w) to (n,), for methods that hook its parts."""
        return _Scorer(self)

    def for_image(self, index: int) -> TargetScorer:
        """The scorer of one image of the batch: x (1, 3, h, w) with its target and logits; the copy and the progress stay shared."""
        rows = slice(index, index + 1)
        return replace(self, x=self.x[rows], targets=self.targets[rows], logits=self.logits[rows])

    def batch_size(self, *, gradients: bool) -> int:
        """How many images may go through together, 1 to 64: by the bytes that each takes, and fewer only where memory is short."""
        each = max(1, self.bytes_per_image if gradients else self.bytes_per_image // 4)
        on_cpu = CPU_GRADIENT_BYTES if gradients else CPU_BATCH_BYTES
        most = (on_cpu if self.x.device.type == "cpu" else BATCH_BYTES) // each
        few = min(FEW, FEW_BYTES // each) if gradients else 1
        return max(1, min(MAX_BATCH, max(most, few), available_memory() // 2 // each))

    def expect(self, images: int) -> None:
        """Say that so many more images will go through, for who listens to the progress."""
        self.progress.total = self.progress.completed + images


class _Scorer(nn.Module):
    def __init__(self, scorer: TargetScorer) -> None:
        super().__init__()
        self.copied, self._scores = scorer.copied, scorer.scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._scores(images)


class _ByteCounter(TorchDispatchMode):
    """Adds up the bytes of all that is computed; views take none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if isinstance(output, torch.Tensor) and not getattr(func, "is_view", False):
            self.bytes += output.numel() * output.element_size()
        return output


def make_scorer(model: Model, x: torch.Tensor, resolve: TargetResolver, rule: str = "plain") -> TargetScorer:
    """Run the model once on x (B, 3, h, w) and resolve the targets; ModelError where it gives NaN, TargetError for what is not there."""
    check_forward_follows(model.module)
    copied = module_for(shared_copy(model.module).eval(), rule)
    x = model.cast(x).detach().clone()
    counter = _ByteCounter()
    with torch.no_grad(), counter:
        logits = model.run(copied, x)
    check_finite(model, x, logits)
    return TargetScorer(model, copied, x, resolve(logits), logits, counter.bytes // len(x), rule=rule)


def checked_maps(scorer: TargetScorer, maps: torch.Tensor) -> torch.Tensor:
    """The maps, of any shape, as float64 without a graph; ModelError when they hold NaN or infinity."""
    maps = maps.detach().to(torch.float64)
    if not bool(torch.isfinite(maps).all()):
        raise ModelError(f"The map of {scorer.model.card.name} overflows in {scorer.model.dtype}; load it in float32.")
    return maps


def check_differentiable(scorer: TargetScorer) -> None:
    """TargetError when the score has no gradient at all, MethodError when none of it reaches the image."""
    checked_scores(scorer.for_image(0), scorer.x[:1].clone().requires_grad_())


def checked_scores(scorer: TargetScorer, images: torch.Tensor) -> torch.Tensor:
    """The scores (n,) of images (n, 3, h, w) that require a gradient, with the errors of ``check_differentiable``."""
    answer = scorer.answers(images)
    check_balanced(scorer.model.card.name, answer, scorer.rule)
    scores = scorer.scores_of(answer)
    check_answered(scorer.model, scores)
    if not depends_on(scores, images):
        raise MethodError(NO_PIXELS.format(name=scorer.model.card.name))
    scorer.went_through(len(images))
    return scores


def check_answered(model: Model, score: torch.Tensor) -> None:
    """TargetError when a score has no gradient at all."""
    if not score.requires_grad:
        raise TargetError(
            "This target has no gradient with respect to the logits; compute it from them with differentiable functions, and see that "
            f"{model.card.name} does not run under no_grad."
        )
