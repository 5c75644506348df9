"""The architectures of the models that are trained for this project: 64 px, fifty classes of photographs, 2.0 to 2.4 million parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.geometry import Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    Builder = Callable[[int, tuple[int, int]], nn.Module]

CORE: dict[str, Any] = {"width": 192, "depth": 6, "heads": 3, "mlp_ratio": 3}
"""Shared by ViT, the Compact Transformers and T2T-ViT, so that only what makes the tokens and what reads them out differs."""


def _vit(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(img_size=image_size, patch_size=8, embed_dim=192, depth=6, num_heads=3, mlp_ratio=3, num_classes=num_classes)


def _compact_vit(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    from vizlib.zoo.networks.compact import CompactTransformer

    return CompactTransformer(
        **CORE, image_size=image_size, num_classes=num_classes,
        kernel=8, stride=8, padding=0, conv_bias=True, activate=False, max_pool=False,
    )  # fmt: skip


def _cct(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    from vizlib.zoo.networks.compact import CompactTransformer

    return CompactTransformer(**CORE, image_size=image_size, num_classes=num_classes, conv_layers=3, conv_width=32)


def _t2t(tokens: str) -> Builder:
    def build(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        from vizlib.zoo.networks.t2t import T2TViT

        # The paper's splits with the first stride halved: 32 x 32, 16 x 16, 8 x 8 tokens.
        splits = ((7, 2, 3), (3, 2, 1), (3, 2, 1))
        return T2TViT(**CORE, image_size=image_size, num_classes=num_classes, tokens=tokens, token_width=32, splits=splits)

    return build


def _pvt(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    from vizlib.zoo.networks.pvt import PyramidVisionTransformer

    return PyramidVisionTransformer(
        image_size=image_size, num_classes=num_classes, patches=(2, 2, 2, 2), widths=(32, 64, 128, 256), depths=(1, 2, 3, 1),
        heads=(1, 2, 4, 8), mlp_ratios=(4, 4, 4, 4), reductions=(8, 4, 2, 1),
    )  # fmt: skip


def _cvt(num_classes: int, image_size: tuple[int, int]) -> nn.Module:  # noqa: ARG001  it has no table of positions
    from vizlib.zoo.networks.cvt import ConvVisionTransformer

    return ConvVisionTransformer(num_classes=num_classes, widths=(48, 96, 192), depths=(1, 2, 4), heads=(1, 2, 4))


def _resnet(num_classes: int, image_size: tuple[int, int]) -> nn.Module:  # noqa: ARG001  one signature for all
    from timm.models.resnet import BasicBlock, ResNet
    from torch import nn

    # Without the stem's max-pool and with the last stage dilated, 64 px end on an 8 x 8 grid instead of 2 x 2.
    block: Any = BasicBlock
    module: Any = ResNet(
        block, (1, 1, 2, 2), num_classes=num_classes, stem_type="deep", stem_width=16, channels=(32, 64, 128, 224),
        output_stride=16, avg_down=True,
    )  # fmt: skip
    module.maxpool = nn.Identity()
    return module


_BUILDERS: dict[str, Builder] = {
    "vit_tiny50": _vit,
    "compact_vit_tiny50": _compact_vit,
    "cct_tiny50": _cct,
    "t2t_tiny50": _t2t("performer"),
    "t2t_t_tiny50": _t2t("transformer"),
    "pvt_tiny50": _pvt,
    "cvt_tiny50": _cvt,
    "resnet_tiny50": _resnet,
}
NAMES = tuple(_BUILDERS)
SIZE = (64, 64)
TRANSFORM = Transform(size=SIZE, crop_pct=1.0)


def build(name: str, num_classes: int = 50, image_size: tuple[int, int] = SIZE) -> nn.Module:
    """A bundled architecture with fresh weights."""
    return _BUILDERS[name](num_classes, image_size)
