"""torchvision's vision transformer, which is built of torch's multi-head attention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.plain_vit import PlainViT, PlainViTAdapter

if TYPE_CHECKING:
    from torch import nn

_PARTS = PlainViT(
    "encoder.layers", "conv_proj", attention="self_attention", added="dropout", norm="encoder.ln", head=("heads",), classifier="heads"
)


class TorchvisionViTAdapter(PlainViTAdapter):
    """A class token, blocks of nn.MultiheadAttention, one size of input; a convolutional stem is not followed."""

    def __init__(self, module: nn.Module) -> None:
        built: Any = module.image_size
        stem = bool(list(module.conv_proj.children()))  # type: ignore[union-attr]
        super().__init__(module, replace(_PARTS, image_size=(built, built), patch=module.patch_size if stem else None))  # type: ignore[arg-type]
        if stem:
            self.refusals.setdefault(
                "lineage", "convolutions of its own stand before its patches, whose windows this adapter does not know"
            )

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "torchvision", ("VisionTransformer",)) is not None

    def for_copy(self, module: nn.Module) -> TorchvisionViTAdapter:
        return TorchvisionViTAdapter(module)
