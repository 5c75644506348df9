"""transformers' convolutional networks: no attention, and a last feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.zoo.adapters.base import Tap
from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.timm.convnets import rectified
from vizlib.zoo.adapters.transformers.config import FromConfig

if TYPE_CHECKING:
    from torch import nn

    from vizlib.zoo.adapters.base import Size

# Where the stages of each class lie, and by what its stem divides the sides of an image; None: as the config's patches.
_CLASSES: dict[str, tuple[str, int | None]] = {
    "ResNetForImageClassification": ("resnet.encoder.stages", 4),
    "RegNetForImageClassification": ("regnet.encoder.stages", 2),
    "ConvNextForImageClassification": ("convnext.encoder.stages", None),
    "ConvNextV2ForImageClassification": ("convnextv2.encoder.stages", None),
}


class TransformersConvNetAdapter(FromConfig):
    """Stages one after another; what the last one gives is the feature map."""

    family = "resnet"
    reads_classes = False

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.refusals |= rectified(module)
        self.below, self.stem = _CLASSES[class_in(module, "transformers", _CLASSES) or ""]
        self.stages: Any = module.get_submodule(self.below)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "transformers", _CLASSES) is not None

    def stride(self) -> Size | None:
        config: Any = self.module.config
        halved = len(self.stages) - 1 + int(bool(getattr(config, "downsample_in_first_stage", False)))
        step = int(config.patch_size if self.stem is None else self.stem) * 2**halved
        return step, step

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        return [Tap(f"{self.below}.{number}", f"{self.below}.{number}") for number in range(len(self.stages))]

    def feature_layer(self) -> str:
        return f"{self.below}.{len(self.stages) - 1}"
