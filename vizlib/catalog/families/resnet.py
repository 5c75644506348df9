"""ResNets."""

from __future__ import annotations

from vizlib.catalog.family import NO_ATTENTION, Family

FAMILY = Family(
    "resnet",
    "timm.convnets:ResNetAdapter",
    lacks={"lineage": NO_ATTENTION, "layers": NO_ATTENTION, "keys": NO_ATTENTION},
    others=("transformers.convnets:TransformersConvNetAdapter",),
)
