"""ResNets."""

from __future__ import annotations

from vizlib.catalog.family import NO_ATTENTION, ONE_HEAD_OF_CHANNELS, Family

FAMILY = Family(
    "resnet",
    "timm.convnets:ResNetAdapter",
    lacks={"lineage": NO_ATTENTION, "layers": ONE_HEAD_OF_CHANNELS, "keys": NO_ATTENTION},
    others=("transformers.convnets:TransformersConvNetAdapter",),
)
