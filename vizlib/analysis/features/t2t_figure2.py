"""Feature maps as the T2T-ViT notebooks drew them: not those of the network, because they leave parts of it out.

The notebook for ResNet chains the bare convolutions, without batch norm, ReLU, pooling or residuals. The one for ViT sends patches straight
through the blocks, without class token and position table. Both take pixels in 0..1 that were never normalised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.zoo.model import Model


def bare_maps(model: Model, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The maps (C, h, w) by layer that the notebooks' shortcut gives for a prepared input (1, 3, h, w).

    Layers carry the names of a trace: ``layer1`` .. ``layer4`` and ``stem`` of a ResNet, ``blocks.0`` .. of a ViT. MethodError for others.
    """
    mean, std = (torch.tensor(getattr(_transform(model), name)).view(3, 1, 1) for name in ("mean", "std"))
    pixels = model.cast(x.cpu() * std + mean)
    family = model.adapter.family
    if family not in ("resnet", "vit"):
        raise MethodError(f"The notebooks took shortcuts for ResNet and ViT alone; {model.card.name} is of another family.")
    with torch.inference_mode():
        return _bare_convolutions(model.adapter.module, pixels) if family == "resnet" else _bare_blocks(model.adapter.module, pixels)


def _bare_convolutions(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    maps: dict[str, torch.Tensor] = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and "downsample" not in name:
            x = part(x)
            stage = name.split(".")[0]
            maps["stem" if stage == "conv1" else stage] = x[0]
    return maps


def _bare_blocks(module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    tokens = module.patch_embed(x)
    if tokens.ndim == 4:
        tokens = tokens.flatten(1, 2)
    height, width = (x.shape[2 + axis] // module.patch_embed.patch_size[axis] for axis in (0, 1))
    maps: dict[str, torch.Tensor] = {}
    for index, block in enumerate(module.blocks):
        tokens = block(tokens)
        maps[f"blocks.{index}"] = tokens[0].T.unflatten(1, (height, width))
    return maps


def _transform(model: Model) -> Any:
    if model.transform is None:
        raise MethodError(f"{model.card.name} does not say how its inputs were normalised, so it cannot be undone.")
    return model.transform
