"""Vision transformers whose few weights are set by hand: what attends to what, and what it carries, is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vizlib.evaluation.exams.handmade_convnets import CELL, SIDE, detectors

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

SHARP = 8.0  # the logit of a match: e^8 against the 64 tokens that do not match
TURN = 4  # the first features are the patterns of a tile; this one marks the class token, the next two hold what attention brings
BROUGHT, ANSWER = 5, 6
WIDTH = 8


def reader() -> VisionTransformer:
    """Two blocks. In the second the class token attends to tiles that call (patterns 0 and 1); what they hold (0 and 2) is the answer.

    Pattern 0 calls and holds evidence, 1 calls and holds none, 2 holds some and hides: nothing attends to it. The first block adds
    nothing: it is there because methods that read tokens on their way into the last block need one before it.
    """
    vit = _empty(depth=2)
    _attend(vit, 1, asks={TURN: 1.0}, calls={0: 1.0, 1: 1.0, 2: -1.0}, holds={0: 1.0, 2: 1.0}, into=ANSWER)
    return vit


def relay() -> VisionTransformer:
    """Two blocks. In the first a messenger (pattern 0) attends to sources (1), in the second the class token to messengers.

    What a messenger brought becomes the answer, so that neither does anything alone. Pattern 2 holds the same as a source and hides.
    """
    vit = _empty(depth=2)
    _attend(vit, 0, asks={0: 1.0}, calls={1: 1.0, 2: -1.0}, holds={1: 1.0, 2: 1.0}, into=BROUGHT)
    _attend(vit, 1, asks={TURN: 1.0}, calls={0: 1.0}, holds={BROUGHT: 1.0}, into=ANSWER)
    return vit


def _empty(depth: int) -> VisionTransformer:
    """A transformer without norms that passes its tokens on: features of a tile are how much it has of each pattern."""
    from timm.models.vision_transformer import VisionTransformer

    vit = VisionTransformer(
        img_size=SIDE, patch_size=CELL, embed_dim=WIDTH, depth=depth, num_heads=1, mlp_ratio=1, num_classes=2,
        norm_layer=nn.Identity, weight_init="skip",
    )  # fmt: skip
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.zero_()
        vit.patch_embed.proj.weight[:TURN] = detectors(TURN)
        assert vit.cls_token is not None  # noqa: S101  it was asked for
        vit.cls_token[..., TURN] = 1
        head: Any = vit.head
        head.weight[:, ANSWER] = torch.tensor([1.0, -1.0])
    return vit


def _attend(
    vit: VisionTransformer, block: int, *, asks: dict[int, float], calls: dict[int, float], holds: dict[int, float], into: int
) -> None:
    """Tokens with features ``asks`` attend to those with ``calls``; what these have of ``holds`` is added to the feature ``into``."""
    attention: Any = vit.blocks[block].attn
    query, key, value = attention.qkv.weight.detach().view(3, WIDTH, WIDTH).unbind(0)
    for feature, weight in asks.items():
        query[0, feature] = weight * SHARP * WIDTH**0.5  # against the scale of the scores
    for feature, weight in calls.items():
        key[0, feature] = weight
    for feature, weight in holds.items():
        value[1, feature] = weight
    attention.proj.weight.detach()[into, 1] = 1
