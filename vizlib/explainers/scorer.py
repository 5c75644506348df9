"""Images and the scores that are asked about, as captum wants them: a function from any number of images to one number each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vizlib.engine.memory import available_memory
from vizlib.engine.progress import tell
from vizlib.errors import ModelError, TargetError
from vizlib.passes.forward import check_finite
from vizlib.tracing.shared_copy import shared_copy

if TYPE_CHECKING:
    from vizlib.explainers.targets import Settle, Target
    from vizlib.zoo.model import Model

ROOM = 1 << 30  # bytes that one batch may take; the same on every machine, so that maps are the same too
MOST = 64


@dataclass
class _Count:
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, eq=False)
class TargetScorer:
    """Prepared images x (B, 3, h, w), their targets and logits (B, K), and a shadow of the module that answers for any others.

    ``weight`` is about how many bytes one image takes on its way through.
    """

    model: Model
    copied: nn.Module
    x: torch.Tensor
    targets: list[Target]
    logits: torch.Tensor
    weight: int
    count: _Count = field(default_factory=_Count)

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """The target's score (n,) of images (n, 3, h, w), at least float32; image i is a variant of x's image i modulo B."""
        values = self.model.run(self.copied, images.to(self.x.dtype))
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        self.count.done += len(images)
        tell(self.count.done, self.count.total)
        if len(set(self.targets)) == 1:
            return self.targets[0].score(values)
        return torch.stack([self.targets[index % len(self.x)].score(row[None])[0] for index, row in enumerate(values)])

    def module(self) -> nn.Module:
        """The same function as a module, for methods that hook its parts."""
        return _Scorer(self)

    def one(self, index: int) -> TargetScorer:
        """Only one of the images."""
        rows = slice(index, index + 1)
        return replace(self, x=self.x[rows], targets=self.targets[rows], logits=self.logits[rows])

    def at_once(self, *, gradients: bool) -> int:
        """How many images may go through together: by what they weigh, and fewer only where memory is short."""
        each = max(1, self.weight if gradients else self.weight // 4)
        return max(1, min(MOST, ROOM // each, available_memory() // 2 // each))

    def expect(self, images: int) -> None:
        """Say how many images will go through."""
        self.count.total = self.count.done + images


class _Scorer(nn.Module):
    def __init__(self, asked: TargetScorer) -> None:
        super().__init__()
        self.copied, self._scores = asked.copied, asked.scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._scores(images)


class _Tally(TorchDispatchMode):
    """Adds up the bytes of all that is computed; views take none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if isinstance(output, torch.Tensor) and not getattr(func, "is_view", False):
            self.bytes += output.numel() * output.element_size()
        return output


def make_scorer(model: Model, x: torch.Tensor, settle: Settle) -> TargetScorer:
    """Run the model once on x (B, 3, h, w) and settle what is asked; ModelError where it gives NaN, TargetError where nothing is."""
    copied = shared_copy(model.module).eval()
    x = model.cast(x).detach().clone()
    tally = _Tally()
    with torch.no_grad(), tally:
        logits = model.run(copied, x)
    check_finite(model, x, logits)
    return TargetScorer(model, copied, x, settle(logits), logits, tally.bytes // len(x))


def checked_maps(asked: TargetScorer, maps: torch.Tensor) -> torch.Tensor:
    """The maps as float64 without a graph; ModelError when they hold NaN or infinity."""
    maps = maps.detach().to(torch.float64)
    if not bool(torch.isfinite(maps).all()):
        raise ModelError(f"The map of {asked.model.card.name} overflows in {asked.model.dtype}; load it in float32.")
    return maps


def check_differentiable(asked: TargetScorer) -> None:
    """TargetError when the score has no gradient with respect to the image."""
    x = asked.x[:1].clone().requires_grad_()
    if not asked.one(0).scores(x).requires_grad:
        raise TargetError("This target has no gradient with respect to the logits; compute it from them with differentiable functions.")
