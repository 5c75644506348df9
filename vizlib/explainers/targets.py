"""What a map explains: a class, the difference of two, or any function of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from vizlib.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.zoo.model import Model

TargetResolver: TypeAlias = "Callable[[torch.Tensor], list[Target]]"
"""From logits (B, K) to the target of each image."""


@dataclass(frozen=True)
class Target:
    """A target resolved for one image: ``index`` for a class, a pair for a difference, None for a function or a model without classes."""

    index: int | tuple[int, int] | None
    label: str
    function: Callable[[torch.Tensor], torch.Tensor] | None = None

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """The number (B,) of each row of logits (B, K) whose reasons are asked for; TargetError when a function gives no number."""
        if self.function is not None:
            scores = self.function(logits)
            if not isinstance(scores, torch.Tensor) or scores.numel() != len(logits):
                raise TargetError("A callable target takes logits (images, classes) and gives one number for each image.")
            return scores.reshape(len(logits))
        if isinstance(self.index, tuple):
            return logits[:, self.index[0]] - logits[:, self.index[1]]
        if self.index is None:
            raise TargetError("This model has no classes; give a callable on its features as the target.")
        return logits[:, self.index]


def resolve_targets(model: Model, target: Any, logits: torch.Tensor) -> list[Target]:
    """The target of each image of a batch with logits (B, K), None being its own top prediction; TargetError for what is not there."""
    if callable(target):
        return [Target(None, getattr(target, "__name__", "a function of the logits"), target)] * len(logits)
    if target is None:
        if not model.adapter.classes:
            return [Target(None, "")] * len(logits)
        return [Target(index, model.label(index)) for index in logits.float().argmax(1).tolist()]
    if isinstance(target, tuple | list):
        if len(target) != 2:
            raise TargetError(f"A difference of classes is a pair, not {len(target)} of them.")
        first, second = (class_index(model, label_or_index) for label_or_index in target)
        return [Target((first, second), f"{model.label(first)} minus {model.label(second)}")] * len(logits)
    index = class_index(model, target)
    return [Target(index, model.label(index))] * len(logits)


def class_index(model: Model, target: Any) -> int:
    """The class that a number or a label names; TargetError when there is none."""
    if isinstance(target, str):
        return model.index_of(target)
    if isinstance(target, bool) or not hasattr(target, "__index__"):
        raise TargetError(f"A target is a class number, a label, a pair of them or a function of the logits, not {target!r}.")
    index = target.__index__()
    classes = model.adapter.classes
    if not 0 <= index < classes:
        has = f"classes 0 to {classes - 1}; the nearest to {index} is {min(max(index, 0), classes - 1)}" if classes else "no classes"
        raise TargetError(f"{model.card.name} has {has}.")
    return index
