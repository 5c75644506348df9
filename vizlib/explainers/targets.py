"""What a map explains: a class, the difference of two, or any function of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from vizlib.errors import TargetError
from vizlib.explainers.similarity import SimilarTo, direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.zoo.model import Model

TargetResolver: TypeAlias = "Callable[[torch.Tensor], list[Target]]"
"""From logits (B, K) to the target of each image."""


@dataclass(frozen=True)
class Target:
    """A target resolved for one image: ``index`` for a class, a pair for a difference, None for a function or a model without classes.

    ``reference`` holds the features (D,) that the image's own are held against, where that is the target.
    """

    index: int | tuple[int, int] | None
    label: str
    function: Callable[[torch.Tensor], torch.Tensor] | None = None
    reference: torch.Tensor | None = None

    def score(self, logits: torch.Tensor) -> torch.Tensor:
        """The number (B,) of each row of logits (B, K) whose reasons are asked for; TargetError when a function gives no number."""
        if self.function is not None:
            scores = self.function(logits)
            if not isinstance(scores, torch.Tensor) or scores.numel() != len(logits):
                raise TargetError(
                    "A callable target takes the logits (images, classes), or the features, and gives one number for each image."
                )
            return scores.reshape(len(logits))
        if isinstance(self.index, tuple):
            return logits[:, self.index[0]] - logits[:, self.index[1]]
        if self.index is None:
            raise TargetError("This model's answer is none in classes; give a function of it as the target.")
        return logits[:, self.index]


def target_of_each(target: Any, images: int) -> list[Any]:
    """One target for each of so many images: those of a list, array or tensor in its order, else the same for all.

    TargetError for a list of another length. A tuple is no list: it is the difference of two classes.
    """
    target = _as_python(target)
    if not isinstance(target, list | range):
        return [target] * images
    if len(target) != images:
        counted = "1 image" if images == 1 else f"{images} images"
        pair = f"; the difference of two classes is a tuple, {tuple(target)!r}" if len(target) == 2 else ""
        raise TargetError(f"A list of targets holds one for each image, and this one holds {len(target)} for {counted}{pair}.")
    return list(target)


def resolve_targets(model: Model, target: Any, logits: torch.Tensor) -> list[Target]:
    """The target of each image of a batch with logits (B, K), from one for all or a list of one each.

    None is an image's own top prediction. TargetError for a class that is not there, and for a list of another length.
    """
    wanted = target_of_each(target, len(logits))
    return [_resolved(model, image_target, row) for image_target, row in zip(wanted, logits, strict=True)]


def _resolved(model: Model, target: Any, logits: torch.Tensor) -> Target:
    target = _as_python(target)
    if isinstance(target, SimilarTo):
        reference, along = direction(target, model, logits)
        return Target(None, target.label, lambda values: values.flatten(1) @ along.to(values), reference)
    if callable(target):
        return Target(None, getattr(target, "__name__", "a function of the logits"), target)
    if target is None:
        if not model.adapter.classes:
            return Target(None, "")
        index = int(logits.float().argmax())
        return Target(index, model.label(index))
    if isinstance(target, tuple | list):  # a list inside a list: a row of an array of pairs
        if len(target) != 2:
            raise TargetError(f"A difference of classes is a pair, not {len(target)} of them.")
        first, second = (class_index(model, label_or_index) for label_or_index in target)
        return Target((first, second), f"{model.label(first)} minus {model.label(second)}")
    index = class_index(model, target)
    return Target(index, model.label(index))


def is_free_of_classes(target: Any) -> bool:
    """Whether a target can be had of a model without classes: a function of its answer, or a similarity."""
    return callable(target) or isinstance(target, SimilarTo)


def class_index(model: Model, target: Any) -> int:
    """The class that a number or a label names; TargetError when there is none."""
    target = _as_python(target)
    if isinstance(target, str):
        return model.index_of(target)
    if isinstance(target, bool) or not hasattr(target, "__index__"):
        raise TargetError(f"A target is a class number, a label, a pair of them or a function of the logits, not {str(target)[:80]}.")
    index = target.__index__()
    classes = model.adapter.classes
    if not 0 <= index < classes:
        has = f"classes 0 to {classes - 1}; the nearest to {index} is {min(max(index, 0), classes - 1)}" if classes else "no classes"
        raise TargetError(f"{model.card.name} has {has}.")
    return index


def _as_python(target: Any) -> Any:
    """An array or tensor as plain numbers, or lists of them; all else as it is."""
    return target.tolist() if hasattr(target, "tolist") else target
