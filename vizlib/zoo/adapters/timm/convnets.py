"""Convolutional networks, timm's and torchvision's ResNets first: feature maps, and no attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.family import NO_RELU
from vizlib.errors import MethodError
from vizlib.zoo.adapters.base import Adapter, Size, Tap

if TYPE_CHECKING:
    from torch import nn


def _rectified(module: nn.Module) -> dict[str, str]:
    """The refusal of methods that change what passes a ReLU, where there is no ReLU to change."""
    from torch import nn

    return {} if any(isinstance(part, nn.ReLU) for part in module.modules()) else {"relu": NO_RELU}


class ResNetAdapter(Adapter):
    """A stem and four layers of residual blocks; the last layer's output is the feature map."""

    family = "resnet"
    reads_classes = False

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.refusals |= _rectified(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.resnet import ResNet
        from torchvision.models import ResNet as TorchvisionResNet

        return isinstance(module, ResNet | TorchvisionResNet)

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        return [Tap(f"layer{index}", f"layer{index}") for index in range(1, 5)]

    def feature_layer(self) -> str:
        return "layer4"


class PlainAdapter(Adapter):
    """Any other classifier: runs and predicts; its last feature map is read where the model itself says which one it is."""

    family = "other"
    reads_classes = False

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.refusals |= _rectified(module)
        self.refusals["lineage"] = f"vizlib has no adapter that knows how {type(module).__name__} routes its tokens"
        if not self._convolutional():
            self.refusals["feature_map"] = (
                f"{type(module).__name__} does not name a last convolutional feature map (channels before rows and columns)"
            )

    @classmethod
    def fits(cls, module: nn.Module) -> bool:  # noqa: ARG003  the last resort
        return True

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        return [Tap(name, name) for name in self._stages()] if self._convolutional() else []

    def feature_layer(self) -> str:
        if "feature_map" in self.refusals:
            raise MethodError(self.refusals["feature_map"])
        return self._stages()[-1]

    def _stages(self) -> list[str]:
        parts = dict(self.module.named_modules())
        return [info["module"] for info in getattr(self.module, "feature_info", None) or [] if info.get("module") in parts]

    def _convolutional(self) -> bool:
        form = getattr(self.module, "output_fmt", "NCHW")
        return bool(self._stages()) and str(getattr(form, "value", form)).upper() == "NCHW"
