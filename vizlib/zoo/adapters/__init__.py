"""How each family of models is read."""

from __future__ import annotations

import importlib
import itertools
from typing import TYPE_CHECKING

from vizlib.catalog.families import FAMILIES
from vizlib.errors import ModelError
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap
from vizlib.zoo.adapters.plain_vit import PlainViT

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Adapter", "Lineage", "PlainViT", "Size", "Tap", "adapter_for", "families"]


def families() -> dict[str, list[type[Adapter]]]:
    """Every family's adapters, the families that know most first."""
    return {name: [_adapter(home) for home in (family.adapter, *family.others)] for name, family in FAMILIES.items()}


def _adapter(home: str) -> type[Adapter]:
    module, _, kind = home.partition(":")
    adapter: type[Adapter] = getattr(importlib.import_module(f"vizlib.zoo.adapters.{module}"), kind)
    return adapter


def adapter_for(module: nn.Module, wanted: str | Adapter | PlainViT | None = None) -> Adapter:
    """The adapter that reads ``module``: the wanted one, by family, declared or ready-made, else the first that fits.

    ModelError if none does.
    """
    if isinstance(wanted, Adapter):
        return wanted
    if isinstance(wanted, PlainViT):
        return wanted.read(module)
    adapters = families()
    if wanted is not None and (not isinstance(wanted, str) or wanted not in adapters):
        raise ModelError(f"There is no adapter {str(wanted)[:40]!r}; there are {', '.join(adapters)}.")
    among = adapters[wanted] if wanted is not None else itertools.chain.from_iterable(adapters.values())
    kind = next((kind for kind in among if kind.fits(module)), None)
    if kind is None:
        raise ModelError(f"The adapter {wanted!r} does not read a {type(module).__name__}.")
    return kind(module)
