"""Weights of the original ViT and BiT releases, NPZ files in JAX's layout, where timm knows how to read them."""

from __future__ import annotations

import copy
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

_HEADS = ("head/kernel", "head/conv2d/kernel")
_POSITIONS = ("pos_embedding",)  # resized to another input
_IMAGE = "params/img/"  # the image tower of SigLIP, whose file holds that of texts too
_UNREAD = ("pre_logits/",)  # a layer of ImageNet-21k's head that timm's networks do not have


def is_jax(state: dict[str, Tensor]) -> bool:
    """Whether a state has the names of a JAX release."""
    return bool(state) and all("." not in key for key in state) and any(key.endswith("/kernel") for key in state)


def jax_classes(state: dict[str, Tensor]) -> int:
    """How many classes the head in a state has, 0 where there is none."""
    return next((int(value.shape[-1]) for key, value in state.items() if key.endswith(_HEADS)), 0)


def from_jax(module: nn.Module, state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The state in timm's layout, by timm's own reader; CheckpointError where it has none or the file is of another network."""
    read: Any = getattr(module, "load_pretrained", None)
    if not callable(read):
        raise CheckpointError(
            f"The file holds {_what(state)} in JAX's layout, which timm does not read into {name}: convert it to torch first."
        )
    own = {key: value for key, value in module.state_dict().items() if not key.endswith("pos_embed")}
    if any(key.startswith(_IMAGE) for key in state):
        state = {key: value for key, value in state.items() if key.startswith(_IMAGE)}
    theirs = {key: value for key, value in state.items() if not key.endswith(_POSITIONS) and not any(part in key for part in _UNREAD)}
    # timm's reader leaves out blocks and heads that it has no place for, and keeps random weights where the file has none.
    count, expected = (sum(math.prod(value.shape) for value in part.values()) for part in (theirs, own))
    wrong = CheckpointError(
        f"The weights do not fit {name}, which has {expected:,} beside its position table: the file holds {_what(state)} in JAX's layout, "
        f"{count:,} weights."
    )
    if count != expected:
        raise wrong
    if next(iter(own.values())).is_meta:
        return module.state_dict()
    filled = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in filled.parameters():
            parameter.fill_(float("nan"))
    file = io.BytesIO()
    arrays: dict[str, Any] = {key: (value.float() if value.is_floating_point() else value).numpy() for key, value in state.items()}
    np.savez(file, **arrays)
    file.seek(0)
    try:
        filled.load_pretrained(file)  # type: ignore[operator]
    except (KeyError, RuntimeError, ValueError, AttributeError, IndexError) as error:
        raise wrong from error
    if any(bool(parameter.isnan().any()) for parameter in filled.parameters()):
        raise wrong
    return filled.state_dict()


def _what(state: dict[str, Tensor]) -> str:
    blocks = {part for key in state for part in key.split("/") if part.startswith(("encoderblock_", "block"))}
    classes = jax_classes(state)
    return f"{len(blocks)} blocks and {f'a head of {classes:,} classes' if classes else 'no head'}"
