"""Which library's class a module is, without importing the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from torch import nn


def class_in(module: nn.Module, library: str, names: Container[str]) -> str | None:
    """The name of the class of ``library`` among ``names`` that a module is or comes from, None where it comes from none."""
    kinds = type(module).__mro__
    return next((kind.__name__ for kind in kinds if kind.__module__.startswith(f"{library}.") and kind.__name__ in names), None)
