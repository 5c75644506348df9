"""Every family, one file each, in the order in which adapters are asked whether they know a module: the ones that know most first."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.catalog.family import Family

_IN_ORDER = (
    "vit",
    "t2t",
    "compact",
    "pvt",
    "pvt_v2",
    "cvt",
    "swin",
    "resnet",
    "traced",
    "other",
)
FAMILIES: dict[str, Family] = {name: import_module(f"{__name__}.{name}").FAMILY for name in _IN_ORDER}
