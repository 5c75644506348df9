"""The image classifiers of transformers, built tiny, and one small variant of every architecture of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.catalog.transformers_variants import FACTS
from vizlib.model_report.family_table import transformers_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

SIZES = {"Inception3": (96, 96)}  # where the input is not 64 x 64


def hugging(name: str) -> nn.Module:
    """A classifier of transformers, tiny; ImportError where it needs a package of its own."""
    return transformers_model(name, FACTS[name])


def _small_classifier(name: str) -> nn.Module:
    """A network of torchvision whose classifier is most of it, with 8 numbers where that has 4096."""
    import torch
    import torchvision

    with torch.device("meta"):
        module = torchvision.models.get_model(name, num_classes=7)
        layers = [part for part in module.classifier if isinstance(part, torch.nn.Linear)]
        narrow = [torch.nn.Linear(layers[0].in_features, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 7)]
        module.classifier = torch.nn.Sequential(narrow[0], torch.nn.ReLU(), narrow[1], torch.nn.ReLU(), narrow[2])
    return module.to_empty(device="cpu")


def _torchvision() -> dict[str, Callable[[], nn.Module]]:
    from torchvision import models
    from torchvision.models import convnext, efficientnet, maxvit, mobilenetv3, regnet, resnet, swin_transformer

    swin: dict[str, Any] = {
        "patch_size": [4, 4], "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": [4, 4], "num_classes": 7
    }  # fmt: skip
    merging = swin_transformer.PatchMergingV2
    return {
        "AlexNet": lambda: _small_classifier("alexnet"),
        "ConvNeXt": lambda: models.ConvNeXt([convnext.CNBlockConfig(8, 12, 1), convnext.CNBlockConfig(12, None, 1)], num_classes=7),
        "DenseNet": lambda: models.DenseNet(4, (2, 2, 2, 2), 8, num_classes=7),
        "EfficientNet": lambda: models.EfficientNet(
            [efficientnet.MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0), efficientnet.MBConvConfig(4, 3, 2, 8, 16, 1, 1.0, 1.0)],
            0.1,
            num_classes=7,
        ),
        "EfficientNetV2": lambda: models.EfficientNet(
            [efficientnet.FusedMBConvConfig(1, 3, 1, 8, 8, 1), efficientnet.FusedMBConvConfig(4, 3, 2, 8, 16, 1)], 0.1, num_classes=7
        ),
        "GoogLeNet": lambda: models.GoogLeNet(7, aux_logits=False, init_weights=False),
        "Inception3": lambda: models.Inception3(7, aux_logits=False, init_weights=False),
        "MNASNet": lambda: models.MNASNet(0.1, num_classes=7),
        "MaxVit": lambda: maxvit.MaxVit((64, 64), 16, 4, [16, 16], [1, 1], 8, 0.0, num_classes=7),
        "MobileNetV2": lambda: models.MobileNetV2(7, 0.1),
        "MobileNetV3": lambda: models.MobileNetV3(
            [mobilenetv3.InvertedResidualConfig(8, 3, 16, 8, use_se=True, activation="HS", stride=2, dilation=1, width_mult=1.0)],
            16,
            num_classes=7,
        ),
        "RegNet": lambda: models.RegNet(regnet.BlockParams([1, 1], [8, 16], [4, 4], [1.0, 1.0], [2, 2], 0.25), num_classes=7),
        "ResNet": lambda: models.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=7),
        "ResNeXt": lambda: models.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=7, groups=4, width_per_group=4),
        "ShuffleNetV2": lambda: models.ShuffleNetV2([1, 1, 1], [8, 16, 32, 64, 32], num_classes=7),
        "SqueezeNet": lambda: models.SqueezeNet("1_1", num_classes=7),
        "SwinTransformer": lambda: models.SwinTransformer(**swin),
        "SwinTransformerV2": lambda: models.SwinTransformer(
            **swin, block=swin_transformer.SwinTransformerBlockV2, downsample_layer=merging
        ),
        "VGG": lambda: _small_classifier("vgg11"),
        "VisionTransformer": lambda: models.VisionTransformer(64, 16, 2, 3, 24, 48, num_classes=7),
    }


TORCHVISION = _torchvision()
