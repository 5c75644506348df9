"""Whose network a state belongs to, by the names that transformers and torchvision give."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# What to do with the weights of each.
LAYOUTS: Final = {
    "transformers": "give the folder that holds them and their config.json, as save_pretrained writes it",
    "torchvision": "load them there, and hand the module over, by vizlib.wrap or as --model module:function",
}
_TRANSFORMERS = re.compile(r"(^|\.)embeddings\.(patch_embeddings?|class_embedding|position_embeddings?|norm|cls_token)\b")
_TRANSFORMERS_LAYER = re.compile(
    r"(^|\.)(encoder|layers|stages)\.(.*\.)?(layernorm_before|layer_norm1|attention\.self|attention\.attention)\."
)
_TORCHVISION = re.compile(
    r"^(encoder\.layers\.encoder_layer_\d+\.|features\.\d+\.\d+\.attn\.|blocks\.\d+\.layers\.\d+\.layers\.(MBconv|window_attention)\.)"
)


def other_layout(names: Iterable[str]) -> str | None:
    """The library, one of ``LAYOUTS``, whose names these are, None where neither's are among them."""
    for name in names:
        if _TRANSFORMERS.search(name) or _TRANSFORMERS_LAYER.search(name):
            return "transformers"
        if _TORCHVISION.search(name):
            return "torchvision"
    return None
