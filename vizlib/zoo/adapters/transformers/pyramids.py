"""transformers' pyramids: PVT, PVT v2, SegFormer's encoder and CvT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vizlib.errors import ModelError
from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.pyramid import PyramidAdapter, PyramidBlock, PyramidStage
from vizlib.zoo.adapters.transformers.config import FromConfig, built_for

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.zoo.adapters.base import Size


class _TransformersPyramid(FromConfig, PyramidAdapter):
    """A classifier of transformers whose stages lie at ``below``."""

    name: ClassVar[str]
    below: ClassVar[str]

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.encoder: Any = module.get_submodule(self.below)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "transformers", (cls.name,)) is not None


class TransformersPvtAdapter(_TransformersPyramid):
    """A class token joins in the last stage; one size of input."""

    family = "pvt"
    name, below = "PvtForImageClassification", "pvt.encoder"

    def check_size(self, size: Size) -> None:
        built = built_for(self.module.config)
        if built is not None and size != built:
            raise ModelError(
                f"The model was built for {built[0]} x {built[1]} inputs and got {size[0]} x {size[1]}; give it inputs of that size."
            )
        super().check_size(size)

    def stages(self) -> list[PyramidStage]:
        last = len(self.encoder.block) - 1
        return [
            PyramidStage(
                f"{self.below}.patch_embeddings.{number}.projection",
                [self._block(f"{self.below}.block.{number}.{index}", block) for index, block in enumerate(stage)],
                int(number == last),
            )
            for number, stage in enumerate(self.encoder.block)
        ]

    def _block(self, path: str, block: Any) -> PyramidBlock:
        reduces = hasattr(block.attention.self, "sequence_reduction")
        reduction = f"{path}.attention.self.sequence_reduction" if reduces else None
        return PyramidBlock(path, f"{path}.attention", f"{path}.attention", reduction)


class TransformersPvtV2Adapter(_TransformersPyramid):
    """PVT v2 under the names of transformers."""

    family = "pvt_v2"
    name, below = "PvtV2ForImageClassification", "pvt_v2.encoder"
    lies: ClassVar[tuple[str, str, str]] = ("layers", "patch_embedding.proj", "layer_norm_2")

    def stages(self) -> list[PyramidStage]:
        stages, embed, _ = self.lies
        return [
            PyramidStage(
                f"{self.below}.{stages}.{number}.{embed}",
                [self._block(f"{self.below}.{stages}.{number}.blocks.{index}", block) for index, block in enumerate(stage.blocks)],
            )
            for number, stage in enumerate(getattr(self.encoder, stages))
        ]

    def reduces(self, attention: Any) -> tuple[str | None, str | None]:
        """The convolution that reduces the keys and the pool before it, below the attention."""
        return "spatial_reduction" if hasattr(attention, "spatial_reduction") else None, "pool" if attention.linear_attention else None

    def _block(self, path: str, block: Any) -> PyramidBlock:
        attention, mlp = f"{path}.attention", f"{path}.mlp"
        reduction, pool = (None if part is None else f"{attention}.{part}" for part in self.reduces(block.attention))
        norm = f"{path}.{self.lies[2]}"
        return PyramidBlock(path, attention, attention, reduction, pool, f"{mlp}.dwconv.dwconv", mlp, norm, mlp)


class TransformersSegformerAdapter(TransformersPvtV2Adapter):
    """SegFormer's encoder, a PVT v2 but for names, as a classifier."""

    name, below = "SegformerForImageClassification", "segformer"
    lies = ("stages", "patch_embeddings.proj", "layernorm_after")

    def reduces(self, attention: Any) -> tuple[str | None, str | None]:
        return "sequence_reduction.sequence_reduction" if hasattr(attention, "sequence_reduction") else None, None


class TransformersCvtAdapter(_TransformersPyramid):
    """Keys gather the window of the value's convolution; those of q and k only shape the attention; the class token is its own key."""

    family = "cvt"
    name, below = "CvtForImageClassification", "cvt.encoder"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        config: Any = module.config
        if not all(way == "dw_bn" for way in config.qkv_projection_method):
            self.refusals.setdefault("lineage", "its projections are not convolutions whose windows this adapter knows")
        if any(step != 1 for step in config.stride_q):
            self.refusals.setdefault("lineage", "its queries lie on a grid of their own, which does not fit the residual around them")

    def stages(self) -> list[PyramidStage]:
        return [
            PyramidStage(
                f"{self.below}.stages.{number}.embedding.convolution_embeddings.projection",
                [self._block(f"{self.below}.stages.{number}.layers.{index}") for index in range(len(stage.layers))],
                int(bool(stage.config.cls_token[number])),
            )
            for number, stage in enumerate(self.encoder.stages)
        ]

    def reduction_weight(self, block: PyramidBlock) -> torch.Tensor:
        """W_v behind the norm's gain behind the kernel."""
        attention = self.part(f"{block.attention}.attention")
        projection = attention.convolution_projection_value.convolution_projection
        norm, kernel = projection.normalization, projection.convolution.weight.flatten(1)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        return attention.projection_value.weight[:, :, None] * (gain[:, None] * kernel)[None]

    def _block(self, path: str) -> PyramidBlock:
        attention = f"{path}.attention"
        value = f"{attention}.attention.convolution_projection_value.convolution_projection.convolution"
        return PyramidBlock(path, attention, attention, value)
