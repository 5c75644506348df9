"""Models of transformers that read tokens: of one that sees pictures too, the part that sees them is a model of its own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError
from vizlib.zoo.reading import named_part, readable_parts

if TYPE_CHECKING:
    from torch import nn


def takes_text(kind: type[Any]) -> bool:
    """Whether this class runs as one of transformers that reads ``input_ids``, with a picture or without."""
    return "input_ids" in _inputs(kind)


def without_text(module: nn.Module, part: str | None) -> tuple[nn.Module, str | None]:
    """The module and part to read: of a module that takes a text the part itself, since the whole does not answer a picture alone.

    ModelError, naming the parts that see pictures, where the module, or that part of it, takes a text.
    """
    name = type(module).__name__
    if not takes_text(type(module)):
        return module, part
    if part is not None:
        inside = named_part(module, part)[1]
        if not takes_text(type(inside)):
            return inside, None
        name, module = f"{part} of {name}", inside
    if "pixel_values" not in _inputs(type(module)):
        raise ModelError(f"{name} takes input_ids and no picture, so there are no pixels to explain.")
    towers = " or ".join(f"part={path!r}" for path in readable_parts(module)) if part is None else ""
    raise ModelError(f"{name} takes a text beside the picture: read its vision tower alone, as wrap(module, {towers or 'part=...'}).")


def _inputs(kind: type[Any]) -> set[str]:
    defined_by = next(base for base in kind.__mro__ if "forward" in vars(base))
    return set(inspect.signature(kind.forward).parameters) if defined_by.__module__.startswith("transformers.") else set()
