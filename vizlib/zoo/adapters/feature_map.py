"""Whether the part that a module names as its last feature map gives one that the answer depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.tracing.autograd_graph import depends_on
from vizlib.tracing.shared_copy import meta_copy

if TYPE_CHECKING:
    from torch import nn


def lacking_feature_map(outputs: list[Any], score: torch.Tensor, channels: int | None = None) -> str | None:
    """Why what a part gave in one pass, ``outputs``, is no feature map (B, C, rows, columns) that ``score`` depends on; None if it is."""
    if len(outputs) != 1:
        return "does not run in a forward pass" if not outputs else f"runs {len(outputs)} times in a forward pass"
    output = outputs[0]
    if not isinstance(output, torch.Tensor):
        return f"is a {type(output).__name__}, not a map (images, channels, rows, columns)"
    if output.ndim != 4 or (channels is not None and output.shape[1] != channels):
        return f"has the shape {tuple(output.shape)}, not (images, channels, rows, columns)"
    return None if depends_on(score, output) else "is not what the answer is read from"


def declared_feature_map_lacks(module: nn.Module, path: str, channels: int | None) -> str | None:
    """The same before any image is there: from one pass of a copy without weights. None also where such a pass is not possible."""
    size = input_size(module)
    if size is None:
        return None
    outputs: list[Any] = []
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            copied = meta_copy(module)
            copied.get_submodule(path).register_forward_hook(lambda part, inputs, output: outputs.append(output))  # noqa: ARG005
            answer = copied(torch.zeros(1, *size, device="meta", requires_grad=True))
    except Exception:  # noqa: BLE001  any code may run here; what it cannot do without weights, a run with an image tells
        return None
    return lacking_feature_map(outputs, answer, channels) if isinstance(answer, torch.Tensor) else None


def input_size(module: nn.Module) -> tuple[int, int, int] | None:
    """The (channels, h, w) that a module says it was built for."""
    declared: Any = getattr(module, "pretrained_cfg", None) or {}
    size = declared.get("input_size") if isinstance(declared, dict) else None
    built = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if size is None:
        return None
    return (int(size[0]), int(built[0]), int(built[1])) if isinstance(built, tuple | list) and len(built) == 2 else tuple(size)
