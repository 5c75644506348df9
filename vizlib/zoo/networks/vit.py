"""ViT and DeiT come from timm; only the layout that transformers gives their weights, in files old and new, is read here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from vizlib.zoo.networks.common import rename

if TYPE_CHECKING:
    from torch import Tensor

_NAMES = (
    (r"^(vit|deit|dinov2)\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(encoder\.layer|layers)\.(\d+)\.", r"blocks.\2."),
    (r"\.attention\.(attention\.query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(attention\.key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(attention\.value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.(intermediate\.dense|mlp\.fc1)\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
    (r"^(cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)


def is_transformers(state: dict[str, Tensor]) -> bool:
    """Whether a state dict is in transformers' layout."""
    return any(name.endswith("embeddings.patch_embeddings.projection.weight") for name in state)


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in timm's layout from one in transformers': q, k and v of a block joined, the unread pooler and mask left out."""
    unread = re.compile(r"(^|\.)(pooler\..*|embeddings\.mask_token)$")
    named = {rename(name, _NAMES): value for name, value in state.items() if not unread.search(name)}
    joined: dict[str, Tensor] = {}
    for name, value in named.items():
        if ".attn.k." in name or ".attn.v." in name:
            continue
        if ".attn.q." in name:
            parts = [named[name.replace(".attn.q.", f".attn.{part}.")] for part in "qkv"]
            joined[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        else:
            joined[name] = value
    return joined
