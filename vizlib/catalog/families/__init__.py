"""Every family, one file each, in the order in which adapters are asked whether they know a module: the ones that know most first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.families import compact, cvt, other, pvt, pvt_v2, resnet, swin, t2t, vit

if TYPE_CHECKING:
    from vizlib.catalog.family import Family

FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in (vit, t2t, compact, pvt, pvt_v2, cvt, swin, resnet, other)}
