"""CvT's convolutional projection: the depth-wise kernels of q, k and v, the maps they make, and what squeezing keys and values costs.

Wu et al., "CvT: Introducing Convolutions to Vision Transformers" (ICCV 2021), arXiv:2103.15808.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.analysis.features.squeeze import Squeeze
from vizlib.errors import MethodError
from vizlib.zoo.networks.common import merge_heads, split_heads, to_tokens

if TYPE_CHECKING:
    from vizlib.passes.forward import Pass

PARTS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class Projection:
    """One block's maps: ``before`` (C, h, w), what the convolutions read, and ``after`` {"q": (C, h, w), "k" and "v": (C, h', w')}.

    ``kernels`` {"q", "k", "v": (C, rows, columns)} include the gain of the batch norm behind them, so they are what the forward applies.
    """

    before: torch.Tensor
    after: dict[str, torch.Tensor]
    kernels: dict[str, torch.Tensor]


def blocks(forward_pass: Pass) -> list[tuple[int, int]]:
    """The (stage, block) of every convolutional attention of a CvT, in order; MethodError for another model."""
    module = _cvt(forward_pass)
    return [(stage, block) for stage in range(module.num_stages) for block in range(len(module.stage(stage).blocks))]


def projection(forward_pass: Pass, stage: int, block: int, image: int = 0) -> Projection:
    """The maps before and after one block's convolutional projections, and its kernels, from a recorded pass.

    MethodError for a model that is no CvT or a block that it does not have.
    """
    attention, features = _read(forward_pass, stage, block, image)
    convolutions = {part: getattr(attention, f"conv_proj_{part}") for part in PARTS}
    with torch.inference_mode():
        after = {part: convolution(features)[0] for part, convolution in convolutions.items()}
    return Projection(features[0], after, {part: _folded(convolution) for part, convolution in convolutions.items()})


def squeeze(forward_pass: Pass, stage: int, block: int, image: int = 0) -> Squeeze:
    """How far one block's attention output moves because keys and values lie on a strided grid.

    The same weights run once more with stride 1. MethodError as for ``projection``.
    """
    attention, features = _read(forward_pass, stage, block, image)
    kept = _class_tokens(forward_pass, stage, block, image)
    outputs, counts = [], []
    with torch.inference_mode():
        for stride in (attention.kv_stride, 1):
            q = _tokens(attention, "q", features, kept, 1)
            k, v = (_tokens(attention, part, features, kept, stride) for part in ("k", "v"))
            counts.append(k.shape[2])
            outputs.append(merge_heads(F.scaled_dot_product_attention(q, k, v, scale=attention.scale)))
    y, whole = (attention.proj(output).double() for output in outputs)
    return Squeeze(counts[0], counts[1], float((whole - y).norm() / whole.norm().clamp_min(1e-300)))


def centre_share(kernels: torch.Tensor) -> torch.Tensor:
    """How much of each kernel (C, rows, columns) sits on its centre: |k_centre| / sum |k|, (C,); 1 passes the map on, 1/9 is even."""
    size = kernels.abs().flatten(1).sum(1)
    centre = kernels[:, kernels.shape[1] // 2, kernels.shape[2] // 2].abs()
    return torch.where(size > 0, centre / size.clamp_min(1e-30), 0.0)


def constancy(kernels: torch.Tensor) -> torch.Tensor:
    """How each kernel (C, rows, columns) answers an even surface: |sum k| / sum |k|, (C,); 1 smooths, 0 sees edges alone."""
    size = kernels.abs().flatten(1).sum(1)
    return torch.where(size > 0, kernels.flatten(1).sum(1).abs() / size.clamp_min(1e-30), 0.0)


def _read(forward_pass: Pass, stage: int, block: int, image: int) -> tuple[Any, torch.Tensor]:
    if (stage, block) not in blocks(forward_pass):
        raise MethodError(f"{forward_pass.model.card.name} has no block {block} in stage {stage}.")
    attention = _cvt(forward_pass).stage(stage).blocks[block].attn
    return attention, forward_pass.recording.notes[attention.value_site]["x"][image : image + 1]


def _cvt(forward_pass: Pass) -> Any:
    from vizlib.zoo.networks.cvt import ConvVisionTransformer

    module = forward_pass.model.adapter.module
    if not isinstance(module, ConvVisionTransformer):
        raise MethodError(f"{forward_pass.model.card.name} is no CvT: it has no convolutional projection.")
    return module


def _class_tokens(forward_pass: Pass, stage: int, block: int, image: int) -> torch.Tensor:
    """The normed class tokens (1, P, C) that go into a block beside the map."""
    site = _cvt(forward_pass).stage(stage)
    name = site.blocks[block - 1].site if block else site.patch_embed.site
    state = forward_pass.recording.notes[name]["tokens"][image : image + 1]
    with torch.inference_mode():
        return site.blocks[block].norm1(state)[:, : site.num_prefix_tokens]


def _tokens(attention: Any, part: str, features: torch.Tensor, kept: torch.Tensor, stride: int) -> torch.Tensor:
    """q, k or v (1, heads, tokens, d) of the map, its convolution at this stride."""
    projected = getattr(attention, f"conv_proj_{part}")
    convolved = F.conv2d(features, projected.conv.weight, None, stride, projected.conv.padding, groups=features.shape[1])
    linear = getattr(attention, f"proj_{part}")
    return split_heads(linear(torch.cat([kept, to_tokens(projected.bn(convolved))], dim=1)), attention.num_heads)


def _folded(convolution: Any) -> torch.Tensor:
    norm = convolution.bn
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (convolution.conv.weight[:, 0] * gain[:, None, None]).detach()
