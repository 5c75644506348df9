"""The models of an audit: how each is had again, in this process or in a worker's, and what it is called in the rows."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from vizlib.auditing.names import natural_order, unique
from vizlib.errors import AuditError
from vizlib.zoo.load import load, load_recipe, wrap
from vizlib.zoo.model import Model
from vizlib.zoo.user_code import is_reference, load_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.engine.jobs import Progress


@dataclass(frozen=True, eq=False)
class ModelSource:
    """A model by ``name``: ``make`` makes it in any process, ``live`` is it in this one; what has no ``make`` is here alone."""

    name: str
    make: Callable[[Progress | None], Model] | None
    live: Model | None = None

    @property
    def identity(self) -> str:
        """What tells it from the other models that a worker holds."""
        return f"audit {self.make}" if not isinstance(self.make, partial) else f"audit {self.make.func.__name__} {self.make.args}"

    def load(self) -> Model:
        """The model; ModelError or CheckpointError where it cannot be had."""
        if self.live is not None:
            return self.live
        assert self.make is not None  # noqa: S101  a source has one or the other
        return self.make(None)


def model_sources(models: Any, device: str = "auto", labels: Sequence[str] | None = None) -> list[ModelSource]:
    """One source for each model; a checkpoint with wildcards is one for each file, in the order of the numbers in their names.

    ``labels`` are the classes, in their order, of the models that are given by a word.

    AuditError for what is no model, and for wildcards that match nothing.
    """
    listed = list(models) if isinstance(models, list | tuple) else [models]
    sources: list[ModelSource] = []
    for model in listed:
        if isinstance(model, nn.Module):
            sources.append(ModelSource(type(model).__name__, None, wrap(model)))
        elif isinstance(model, Model):
            make = None if model.recipe is None else partial(_of_recipe, model.recipe)
            sources.append(ModelSource(model.card.name, make, model))
        elif isinstance(model, str):
            sources += _of_word(model, device, None if labels is None else tuple(labels))
        else:
            raise AuditError(f"An audit takes models by name, or as modules, not a {type(model).__name__}.")
    if not sources:
        raise AuditError("An audit needs at least one model.")
    names = unique(source.name for source in sources)
    return [replace(source, name=name) for source, name in zip(sources, names, strict=True)]


def _of_word(word: str, device: str, labels: tuple[str, ...] | None) -> list[ModelSource]:
    if is_reference(word):
        return [ModelSource(word, partial(_of_code, word, device, labels))]
    name, _, checkpoint = word.partition("=")
    if not checkpoint or checkpoint == "random" or not glob.has_magic(checkpoint) or os.path.lexists(checkpoint):
        return [ModelSource(word if checkpoint == "random" else name, partial(_of_name, name, checkpoint or None, device, labels))]
    files = sorted(glob.glob(str(Path(checkpoint).expanduser()), recursive=True), key=natural_order)  # noqa: PTH207  absolute patterns too
    if not files:
        raise AuditError(f"Nothing matches {checkpoint!r}: check the name and the folder.")
    return [ModelSource(f"{name}={Path(file).stem}", partial(_of_name, name, file, device, labels)) for file in files]


# What makes a model takes the progress of an order, as the engine has it; there is none in the caller's process.


def _of_name(
    name: str,
    checkpoint: str | None,
    device: str,
    labels: tuple[str, ...] | None,
    progress: Progress | None,  # noqa: ARG001
) -> Model:
    return load(name, checkpoint=checkpoint, device=device, labels=labels)


def _of_code(reference: str, device: str, labels: tuple[str, ...] | None, progress: Progress | None) -> Model:  # noqa: ARG001
    return load_code(reference, device=device, labels=labels)


def _of_recipe(recipe: dict[str, Any], progress: Progress | None) -> Model:  # noqa: ARG001
    return load_recipe(recipe)
