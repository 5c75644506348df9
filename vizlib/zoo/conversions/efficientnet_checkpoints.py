"""Weights under the names of the package efficientnet-pytorch, whose layers come in timm's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

STEM, HEAD = "_conv_stem.weight", "_fc.weight"


def is_efficientnet_pytorch(state: dict[str, Tensor]) -> bool:
    """Whether a state has the names of that package."""
    return STEM in state and any(key.startswith("_blocks.0.") for key in state)


def from_efficientnet_pytorch(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state under timm's names, entry by entry; as it was where the ends of the names or the shapes are those of another network."""
    own = module.state_dict()
    pairs = list(zip(own.items(), state.items(), strict=False))
    agree = all(name.rpartition(".")[2] == key.rpartition(".")[2] and value.shape == tensor.shape for (name, value), (key, tensor) in pairs)
    return {name: tensor for (name, _), (_, tensor) in pairs} if agree and len(own) == len(state) else state
