"""transformers' plain vision transformers: ViT, DeiT, BEiT, DINOv2 and v3, and the vision towers of CLIP and SigLIP."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.zoo.adapters.base import Classifier, Size
from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.plain_vit import PlainViT, PlainViTAdapter
from vizlib.zoo.adapters.transformers.config import FromConfig, built_for, pair

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.recorder import AttentionCall


@dataclass(frozen=True)
class _Tower:
    """A tower's parts below its own path; ``fixed`` says that it takes inputs of one size."""

    parts: PlainViT
    fixed: bool = True


def _tower(blocks: str, patches: str, norm: str, attention: str = "attention", *, fixed: bool = True, **others: Any) -> _Tower:
    return _Tower(PlainViT(blocks, patches, norm=norm, attention=attention, **others), fixed)


_PATCHES = "embeddings.patch_embeddings.projection"
_VIT = _tower("layers", _PATCHES, "layernorm")
_DEIT = _tower("layers", _PATCHES, "layernorm", prefix=2)
_BEIT = _tower("layers", _PATCHES, "layernorm", gain="lambda_1", any_tokens=False)
_DINOV2 = _tower("encoder.layer", _PATCHES, "layernorm", added="layer_scale1", fixed=False)
_DINOV3 = _tower("model.layer", "embeddings.patch_embeddings", "norm", added="layer_scale1", any_tokens=False, fixed=False)
_CLIP = _tower("encoder.layers", "embeddings.patch_embedding", "", "self_attn")
_SIGLIP = _tower("encoder.layers", "embeddings.patch_embedding", "post_layernorm", "self_attn", prefix=0)
_SIGLIP2 = replace(_SIGLIP, fixed=False)

# Each class: its tower, where that lies, what the head reads, and the parts that make the answer of it.
_CLASSES: dict[str, tuple[_Tower, str, str, tuple[str, ...]]] = {
    "ViTModel": (_VIT, "", "token", ("pooler.dense", "pooler.activation")),
    "ViTForImageClassification": (_VIT, "vit", "token", ("classifier",)),
    "DeiTModel": (_DEIT, "", "token", ("pooler.dense", "pooler.activation")),
    "DeiTForImageClassification": (_DEIT, "deit", "token", ("classifier",)),
    "DeiTForImageClassificationWithTeacher": (_DEIT, "deit", "two_tokens", ()),
    "BeitModel": (_BEIT, "", "token", ()),
    "BeitForImageClassification": (_BEIT, "beit", "token", ("classifier",)),
    "Dinov2Model": (_DINOV2, "", "token", ()),
    "Dinov2ForImageClassification": (_DINOV2, "dinov2", "token_and_mean", ("classifier",)),
    "Dinov2WithRegistersModel": (_DINOV2, "", "token", ()),
    "Dinov2WithRegistersForImageClassification": (_DINOV2, "dinov2_with_registers", "token_and_mean", ("classifier",)),
    "DINOv3ViTModel": (_DINOV3, "", "token", ()),
    "CLIPVisionModel": (_CLIP, "", "token", ("post_layernorm",)),
    "CLIPVisionModelWithProjection": (_CLIP, "vision_model", "token", ("vision_model.post_layernorm", "visual_projection")),
    "CLIPForImageClassification": (_CLIP, "vision_model", "mean", ("classifier",)),
    "SiglipVisionModel": (_SIGLIP, "", "pool", ("head",)),
    "SiglipForImageClassification": (_SIGLIP, "vision_model", "mean", ("classifier",)),
    "Siglip2VisionModel": (_SIGLIP2, "", "pool", ("head",)),
    "Siglip2ForImageClassification": (_SIGLIP2, "vision_model", "mean", ("classifier",)),
}
_TEACHER = {"class": Classifier("cls_classifier", 0), "distillation": Classifier("distillation_classifier", 1)}


class TransformersViTAdapter(FromConfig, PlainViTAdapter):
    """A plain vision transformer of transformers; what differs from class to class is the table above and the module's own config."""

    def __init__(self, module: nn.Module) -> None:
        self.name = class_in(module, "transformers", _CLASSES) or ""
        inside = _CLASSES[self.name][1]
        self.tower: Any = module.get_submodule(inside) if inside else module
        self.resizes = "interpolate_pos_encoding" in inspect.signature(type(module).forward).parameters
        super().__init__(module, _described(self.tower, self.name, fixed=not self.resizes))

    classes = PlainViTAdapter.classes  # its head may be several parts

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "transformers", _CLASSES) is not None

    @property
    def config(self) -> Any:
        return self.tower.config

    def for_copy(self, module: nn.Module) -> TransformersViTAdapter:
        return TransformersViTAdapter(module)

    def input_size(self) -> Size | None:
        if self.name.startswith("Siglip2"):
            side = math.isqrt(self.config.num_patches) * self.config.patch_size
            return side, side
        return super().input_size()

    def call(self, module: nn.Module, x: torch.Tensor) -> Any:
        if self.name.startswith("Siglip2"):
            return module(**_in_patches(x, self.window().kernel))
        other = self.resizes and tuple(x.shape[2:]) != built_for(self.config)
        return module(x, interpolate_pos_encoding=True) if other else module(x)

    def answering(self, calls: list[AttentionCall]) -> list[AttentionCall]:
        # SigLIP's classifiers run the pool of their tower for nothing.
        idle = "Siglip" in self.name and self.parts.readout == "mean" and self.tower.use_head
        return calls[: len(self.blocks)] if idle else calls


def _described(tower: Any, name: str, *, fixed: bool) -> PlainViT:
    kind, inside, readout, head = _CLASSES[name]
    config, parts, below = tower.config, kind.parts, f"{inside}." if inside else ""
    pooler = getattr(tower, "pooler", None)
    if name.startswith("Beit") and config.use_mean_pooling:
        readout, head = "mean", (f"{below}pooler.layernorm", *head)
    if (readout == "pool" and not tower.use_head) or (pooler is None and (name == "BeitModel" or head[:1] == ("pooler.dense",))):
        readout, head = "", ()  # it gives its tokens and no more
    return replace(
        parts,
        blocks=below + parts.blocks,
        patches=below + parts.patches,
        norm=below + parts.norm if parts.norm else "",
        prefix=parts.prefix + int(getattr(config, "num_register_tokens", 0) or 0),
        readout=readout,
        head=head,
        patch=pair(config.patch_size) if name.startswith("Siglip2") else None,
        image_size=built_for(config) if kind.fixed and fixed else None,
        classifier="cls_classifier" if readout == "two_tokens" else "classifier" if "Classification" in name else "",
        classifiers=_TEACHER if readout == "two_tokens" else {},
    )


def _in_patches(x: torch.Tensor, patch: Size) -> dict[str, torch.Tensor]:
    """Images (B, C, h, w) as SigLIP 2 takes them: patches row by row, each by row, column and channel, none of them padding."""
    cells = x.unflatten(3, (-1, patch[1])).unflatten(2, (-1, patch[0])).permute(0, 2, 4, 3, 5, 1)
    shape = torch.tensor(cells.shape[1:3], device=x.device).expand(len(x), -1)
    tokens = cells.flatten(3).flatten(1, 2)
    mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=x.device)
    return {"pixel_values": tokens, "pixel_attention_mask": mask, "spatial_shapes": shape}
