"""The architectures of the models that are trained for this project: 64 px, fifty classes of photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.geometry import Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def _vit(num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(img_size=image_size, patch_size=8, embed_dim=192, depth=6, num_heads=3, mlp_ratio=3, num_classes=num_classes)


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


_BUILDERS: dict[str, Callable[[int, tuple[int, int]], nn.Module]] = {"vit_tiny50": _vit, "resnet_tiny50": _resnet}
NAMES = tuple(_BUILDERS)
SIZE = (64, 64)
TRANSFORM = Transform(size=SIZE, crop_pct=1.0)


def build(name: str, num_classes: int = 50, image_size: tuple[int, int] = SIZE) -> nn.Module:
    """A bundled architecture with fresh weights."""
    return _BUILDERS[name](num_classes, image_size)
