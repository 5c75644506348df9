"""How each family of models is read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vizlib.catalog.families import FAMILIES
from vizlib.errors import ModelError
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Adapter", "Lineage", "Size", "Tap", "adapter_for", "families"]


def families() -> dict[str, type[Adapter]]:
    """Every adapter by family, the ones that know most first."""
    kinds = {}
    for name, family in FAMILIES.items():
        module, _, kind = family.adapter.partition(":")
        kinds[name] = getattr(importlib.import_module(f"vizlib.zoo.adapters.{module}"), kind)
    return kinds


def adapter_for(module: nn.Module, wanted: str | Adapter | None = None) -> Adapter:
    """The adapter that reads ``module``: the wanted one, by family or ready-made, else the first that fits; ModelError if none does."""
    if isinstance(wanted, Adapter):
        return wanted
    adapters = families()
    if wanted is None:
        return next(kind for kind in adapters.values() if kind.fits(module))(module)
    if wanted not in adapters:
        raise ModelError(f"There is no adapter {wanted!r}; there are {', '.join(adapters)}.")
    if not adapters[wanted].fits(module):
        raise ModelError(f"The adapter {wanted!r} does not read a {type(module).__name__}.")
    return adapters[wanted](module)
