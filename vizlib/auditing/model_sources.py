"""The models of an audit: how each is had again, in this process or in a worker's, and what it is called in the rows."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from vizlib.errors import AuditError
from vizlib.zoo.load import load, wrap
from vizlib.zoo.model import Model
from vizlib.zoo.user_code import is_reference, load_code

if TYPE_CHECKING:
    from vizlib.engine.jobs import Progress


@dataclass(frozen=True, eq=False)
class ModelSource:
    """A model by ``name``: ``word`` and ``checkpoint`` load it anywhere, a ``live`` one is in this process alone."""

    name: str
    word: str
    checkpoint: str | None
    device: str
    live: Model | None = None

    @property
    def portable(self) -> bool:
        """Whether another process can load it."""
        return self.live is None

    @property
    def identity(self) -> str:
        """What tells it from the other models that a worker holds."""
        return f"audit {self.word} {self.checkpoint} {self.device}"

    @property
    def make(self) -> Any:
        """How a worker makes it."""
        return partial(_made, self.word, self.checkpoint, self.device)

    def load(self) -> Model:
        """The model; ModelError or CheckpointError where it cannot be had."""
        return self.live or _loaded(self.word, self.checkpoint, self.device)


def model_sources(models: Any, device: str = "auto") -> list[ModelSource]:
    """One source for each model; a checkpoint with wildcards is one for each file, in the order of the numbers in their names.

    AuditError for what is no model, and for wildcards that match nothing.
    """
    listed = list(models) if isinstance(models, list | tuple) else [models]
    sources: list[ModelSource] = []
    for model in listed:
        if isinstance(model, nn.Module):
            live = wrap(model)
            sources.append(ModelSource(type(model).__name__, "", None, device, live))
        elif isinstance(model, Model):
            sources.append(_of_model(model, device))
        elif isinstance(model, str):
            sources += _of_word(model, device)
        else:
            raise AuditError(f"An audit takes models by name, or as modules, not a {type(model).__name__}.")
    if not sources:
        raise AuditError("An audit needs at least one model.")
    return _with_own_names(sources)


def _of_model(model: Model, device: str) -> ModelSource:
    recipe = model.recipe or {}
    plain = {"name", "checkpoint", "sha256"}
    if recipe and not any(value for key, value in recipe.items() if key not in plain and value is not None):
        return ModelSource(model.card.name, str(recipe["name"]), recipe.get("checkpoint"), device, model)
    return ModelSource(model.card.name, "", None, device, model)


def _of_word(word: str, device: str) -> list[ModelSource]:
    if is_reference(word):
        return [ModelSource(word, word, None, device)]
    name, _, checkpoint = word.partition("=")
    if not checkpoint or checkpoint == "random" or not glob.has_magic(checkpoint) or os.path.lexists(checkpoint):
        return [ModelSource(word if checkpoint == "random" else name, name, checkpoint or None, device)]
    files = sorted(glob.glob(str(Path(checkpoint).expanduser()), recursive=True), key=_natural)  # noqa: PTH207  absolute patterns too
    if not files:
        raise AuditError(f"Nothing matches {checkpoint!r}: check the name and the folder.")
    return [ModelSource(f"{name}={Path(file).stem}", name, file, device) for file in files]


def _natural(name: str) -> list[Any]:
    """So that epoch-10 comes after epoch-9."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _with_own_names(sources: list[ModelSource]) -> list[ModelSource]:
    seen: dict[str, int] = {}
    named = []
    for source in sources:
        count = seen[source.name] = seen.get(source.name, 0) + 1
        name = source.name if count == 1 else f"{source.name} ({count})"
        named.append(ModelSource(name, source.word, source.checkpoint, source.device, source.live))
    return named


def _made(word: str, checkpoint: str | None, device: str, progress: Progress) -> Model:  # noqa: ARG001  a maker's signature
    return _loaded(word, checkpoint, device)


def _loaded(word: str, checkpoint: str | None, device: str) -> Model:
    return load_code(word, device=device) if is_reference(word) else load(word, checkpoint=checkpoint, device=device)


def state_fingerprint(model: Model) -> str:
    """The SHA-256 of a model's weights by their names and values, whatever file they came in."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.module.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode() + values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
