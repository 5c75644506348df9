"""Modules that look like a known one and run something else: read by what they run, or refused by name, never wrong in silence."""

from __future__ import annotations

import types

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from zoo_cases import SMALL

import vizlib

X = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
ATTENTION = ("rollout", "attention", "gradient_rollout", "relevance", "legrad", "attention_x_gradient", "leave_one_out")


def small(kind: type[VisionTransformer] = VisionTransformer, **changes) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind(**{**SMALL, **changes}).eval()


def with_attention(forward) -> VisionTransformer:
    """A ViT whose attention is written out by ``forward(self, q, k, v)``, q scaled."""
    module = small()
    for block in module.blocks:
        attention = block.attn

        def run(self, x, attn_mask=None, is_causal=False):
            count, tokens, width = x.shape
            q, k, v = self.qkv(x).reshape(count, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
            return self.proj(forward(q * self.scale, k, v).transpose(1, 2).reshape(count, tokens, width))

        attention.forward = types.MethodType(run, attention)
    return module


def plain(q, k, v):
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


def kept_on_the_way(q, k, v):
    weights = torch.nn.functional.dropout((q @ k.transpose(-2, -1)).softmax(dim=-1), 0.1, training=False)
    return weights.to(v.dtype) @ v


def by_name(q, k, v):
    return torch.einsum("bhnm, bhmd -> bhnd", (q @ k.transpose(-2, -1)).softmax(-1), v)


def over_the_queries(q, k, v):
    return (q @ k.transpose(-2, -1)).softmax(-2) @ v


def renormalised(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1) ** 2
    return (weights / weights.sum(-1, keepdim=True)) @ v


def thresholded(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return (weights * (weights > weights.mean(-1, keepdim=True))) @ v


def talking_heads(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return weights.flip(1) @ v


def masked_again(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return weights.masked_fill(torch.eye(weights.shape[-1], dtype=torch.bool), 0) @ v


def turned(q, k, v):
    return (q @ k.transpose(-2, -1)).softmax(-1).transpose(-2, -1) @ v


def summed_over_queries(q, k, v):
    return torch.einsum("bhnm,bhnd->bhmd", (q @ k.transpose(-2, -1)).softmax(-1), v)


def on_the_wrong_side(q, k, v):
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return v + 0 * weights.sum()


@pytest.mark.parametrize("forward", [plain, kept_on_the_way, by_name])
def test_attention_written_out_is_followed(forward) -> None:
    own = vizlib.explain(vizlib.wrap(with_attention(forward)), X, "rollout")
    fused = vizlib.explain(vizlib.wrap(small()), X, "rollout")
    assert np.abs(own.input_map - fused.input_map).max() < 1e-6 * fused.input_map.max()


@pytest.mark.parametrize(
    "forward",
    [over_the_queries, renormalised, thresholded, talking_heads, masked_again, turned, summed_over_queries, on_the_wrong_side],
)
@pytest.mark.parametrize("method", ATTENTION)
def test_weights_that_change_after_the_softmax_are_refused(forward, method) -> None:
    over = forward in (over_the_queries, summed_over_queries, on_the_wrong_side)
    with pytest.raises(vizlib.MethodError, match="can be read|after the softmax" if over else "after the softmax"):
        vizlib.explain(vizlib.wrap(with_attention(forward)), X, method, target=1)


class MeanHead(VisionTransformer):
    """Reads the mean of the patches where the class token is declared."""

    def forward_head(self, x, pre_logits=False):
        return self.head(x[:, 1:].mean(1))


class Reordered(VisionTransformer):
    """Turns the patches round before the blocks."""

    def _pos_embed(self, x):
        x = super()._pos_embed(x)
        return torch.cat([x[:, :1], x[:, 1:].flip(1)], 1)


class Rewritten(VisionTransformer):
    """Its own way through the blocks."""

    def forward_features(self, x, attn_mask=None, is_causal=False):
        x = self._pos_embed(self.patch_embed(x))
        for block in self.blocks:
            x = block(x).roll(1, 1)
        return self.norm(x)


class Turned(Block):
    """A block that moves tokens."""

    def forward(self, x, attn_mask=None, is_causal=False):
        return super().forward(x).flip(1)


class Patches(timm.layers.PatchEmbed):
    """Patches that are turned round."""

    def forward(self, x):
        return super().forward(x.flip(-1))


class OnlyBuiltOtherwise(VisionTransformer):
    """A subclass that runs what its parent runs."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.note = "mine"

    def extra(self) -> int:
        return 1


def set_on_the_instance() -> VisionTransformer:
    module = small()
    module.forward_features = lambda x: VisionTransformer.forward_features(module, x.flip(-1))
    return module


FOREIGN = {
    "MeanHead.forward_head": lambda: small(MeanHead),
    "Reordered._pos_embed": lambda: small(Reordered),
    "Rewritten.forward_features": lambda: small(Rewritten),
    "Turned.forward": lambda: small(block_fn=Turned),
    "Patches.forward": lambda: small(embed_layer=Patches),
    "forward_features, set on the instance": set_on_the_instance,
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("method", ATTENTION)
def test_a_subclass_with_a_way_of_its_own_is_refused_by_name(name, method) -> None:
    model = vizlib.wrap(FOREIGN[name]())
    with pytest.raises(vizlib.MethodError, match=name.replace(".", r"\.")):
        vizlib.explain(model, X, method, target=1)
    assert method in model.card.unavailable


def test_where_only_the_head_differs_grad_cam_is_still_right() -> None:
    model = vizlib.wrap(FOREIGN["MeanHead.forward_head"]())
    assert "grad_cam" in model.card.methods
    assert "grad_cam" not in vizlib.wrap(FOREIGN["Reordered._pos_embed"]()).card.methods
    assert vizlib.explain(model, X, "saliency", target=1).input_map.max() > 0


def test_a_subclass_that_runs_the_same_is_read() -> None:
    own, parent = (vizlib.explain(vizlib.wrap(small(kind)), X, "rollout") for kind in (OnlyBuiltOtherwise, VisionTransformer))
    assert np.array_equal(own.input_map, parent.input_map)


@pytest.mark.parametrize("name", ["vit_tiny_r_s16_p8_224", "vit_small_r26_s32_224", "vit_base_resnet26d_224"])
def test_convolutions_before_the_patches_are_followed_to_the_whole_picture(name) -> None:
    """Read as if its projection cut pixels, a hybrid once had all of its map in the top left corner."""
    model = vizlib.wrap(timm.create_model(name, num_classes=5).eval())
    explanation = vizlib.explain(model, torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(0)), "rollout")
    quarters = explanation.input_map.reshape(2, 112, 2, 112).sum((1, 3)) / explanation.input_map.sum()
    assert quarters.min() > 0.15
    assert explanation.input_map.sum() + explanation.sink == pytest.approx(1, abs=1e-9)
    assert "grad_cam" in model.card.methods


def test_a_convolution_on_something_else_than_the_pixels_is_refused() -> None:
    # No name gives it away: the stem halves the picture, then the usual projection cuts it.
    module = small(dynamic_img_size=True)
    module.patch_embed.proj.register_forward_pre_hook(lambda part, inputs: (nn.functional.interpolate(inputs[0], scale_factor=2),))
    with pytest.raises(vizlib.MethodError):
        vizlib.explain(vizlib.wrap(module), X, "rollout")


class Cut(VisionTransformer):
    """No gradient passes its last block's input."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.blocks[-1].register_forward_pre_hook(lambda part, inputs: (inputs[0].detach(),))


def int8() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(small(), {nn.Linear}, dtype=torch.qint8)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "method", ["relevance", "gradient_rollout", "legrad", "grad_cam", "saliency", "integrated_gradients", "gradient_shap"]
)
@pytest.mark.parametrize("make", [int8, lambda: small(Cut)], ids=["int8", "detached"])
def test_a_score_that_no_gradient_reaches_is_said(make, method) -> None:
    model = vizlib.wrap(make())
    if method in ("grad_cam", "legrad") and isinstance(model.module, Cut):
        pytest.skip("It reads each block's own output, which is reached: its map is right.")
    with pytest.raises(vizlib.MethodError, match="quantised, detached or run without gradients"):
        vizlib.explain(model, X, method, target=1)
    assert vizlib.explain(model, X, "occlusion", target=1).input_map.any()
