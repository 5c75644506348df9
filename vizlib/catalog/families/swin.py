"""Swin v1 and v2: attention in shifted windows."""

from __future__ import annotations

from vizlib.catalog.family import IN_WINDOWS, NO_RELU, ONE_CLASSIFIER, ONE_HEAD, Family

FAMILY = Family(
    "swin",
    "timm.swin:SwinAdapter",
    lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER, "layers": ONE_HEAD, "keys": IN_WINDOWS},
    others=("transformers.swin:TransformersSwinAdapter", "torchvision.swin:TorchvisionSwinAdapter"),
)
