"""ViT, DeiT, BEiT, EVA, DINOv2 and v3, SigLIP: plain transformers over patches."""

from __future__ import annotations

from vizlib.catalog.family import NO_RELU, ONE_CLASSIFIER, Family

FAMILY = Family(
    "vit",
    "timm.vit:ViTAdapter",
    lacks={"relu": NO_RELU, "two_classifiers": ONE_CLASSIFIER},
    others=("transformers.vit:TransformersViTAdapter", "torchvision.vit:TorchvisionViTAdapter"),
)
