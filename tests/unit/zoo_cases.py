"""Small models of every kind that vizlib reads, filled by name, for the generated tests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import ParallelScalingBlock, ResPostBlock, VisionTransformer
from torch import nn

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.zoo.networks.compact import CompactTransformer
from vizlib.zoo.networks.cvt import ConvVisionTransformer
from vizlib.zoo.networks.pvt import PyramidVisionTransformer
from vizlib.zoo.networks.t2t import T2TViT
from vizlib.zoo.weights import fill_random

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 7}


def _unfused(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False
    return module


TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    "token": lambda: VisionTransformer(**SMALL),
    "mean": lambda: VisionTransformer(**SMALL, global_pool="avg"),
    "mean_without_token": lambda: VisionTransformer(**SMALL, global_pool="avg", class_token=False),
    "mean_with_prefix": lambda: VisionTransformer(**SMALL, global_pool="avg", pool_include_prefix=True),
    "registers": lambda: VisionTransformer(**SMALL, reg_tokens=4, no_embed_class=True, init_values=0.1),
    "distilled": lambda: VisionTransformerDistilled(**SMALL),
    "pool": lambda: VisionTransformer(**SMALL, global_pool="map", class_token=False),
    "pool_past_registers": lambda: VisionTransformer(**SMALL, global_pool="map", reg_tokens=2),
    "qk_norm": lambda: VisionTransformer(**SMALL, qk_norm=True),
    "post_norm": lambda: VisionTransformer(**SMALL, block_fn=ResPostBlock),
    "parallel": lambda: VisionTransformer(**SMALL, block_fn=ParallelScalingBlock),
    "wide": lambda: VisionTransformer(**{**SMALL, "img_size": (32, 48)}),
    "written_out": lambda: _unfused(VisionTransformer(**SMALL)),
    "padded": lambda: VisionTransformer(**{**SMALL, "img_size": 36}, dynamic_img_size=True, dynamic_img_pad=True),
    "eva_mean": lambda: Eva(**SMALL, use_rot_pos_emb=True, num_reg_tokens=4, global_pool="avg"),
    "eva_token": lambda: Eva(**SMALL, use_rot_pos_emb=True, global_pool="token", swiglu_mlp=True, scale_mlp=True),
    "eva_pool": lambda: Eva(**SMALL, global_pool="map", num_reg_tokens=1),
    "beit": lambda: Beit(**SMALL, use_rel_pos_bias=True, use_abs_pos_emb=False),
}
T2T = {
    "image_size": 32,
    "num_classes": 7,
    "width": 24,
    "depth": 2,
    "heads": 3,
    "token_width": 8,
    "splits": ((7, 2, 3), (3, 2, 1), (3, 2, 1)),
}
COMPACT = {"num_classes": 7, "width": 24, "depth": 2, "heads": 3}
SWIN = {"patch_size": 4, "num_classes": 7, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 3), "window_size": 4}
PYRAMIDS: dict[str, Callable[[], nn.Module]] = {
    "t2t_performer": lambda: T2TViT(**T2T),
    "t2t_transformer": lambda: T2TViT(**T2T, tokens="transformer"),
    "cct": lambda: CompactTransformer(**COMPACT, conv_layers=2, conv_width=12),
    "compact_vit": lambda: CompactTransformer(**COMPACT, kernel=8, stride=8, padding=0, conv_bias=True, activate=False, max_pool=False),
    "vit_lite": lambda: CompactTransformer(
        **COMPACT, kernel=8, stride=8, padding=0, conv_bias=True, activate=False, max_pool=False, seq_pool=False
    ),
    "pvt": lambda: PyramidVisionTransformer(
        image_size=32, num_classes=7, patches=(2, 2, 2), widths=(8, 12, 24), depths=(1, 2, 2), heads=(1, 2, 3), mlp_ratios=(2, 2, 2),
        reductions=(4, 2, 1),
    ),
    "pvt_v2": lambda: PyramidVisionTransformerV2(
        num_classes=7, depths=(1, 1, 1, 1), embed_dims=(8, 12, 16, 24), num_heads=(1, 2, 2, 3), sr_ratios=(4, 2, 2, 1)
    ),
    "pvt_v2_linear": lambda: PyramidVisionTransformerV2(
        num_classes=7, depths=(1, 1, 1, 1), embed_dims=(8, 12, 16, 24), num_heads=(1, 2, 2, 3), linear=True
    ),
    "cvt": lambda: ConvVisionTransformer(num_classes=7, widths=(8, 12, 24), depths=(1, 1, 2), heads=(1, 2, 3)),
    "swin": lambda: SwinTransformer(**SWIN, img_size=32),
    "swin_padded": lambda: SwinTransformer(**SWIN, img_size=(40, 24)),
    "swin_v2": lambda: SwinTransformerV2(**SWIN, img_size=32),
}  # fmt: skip
CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: ResNet(BasicBlock, (1, 1, 1, 1), num_classes=7, channels=(8, 12, 16, 24)),
}
ATTENTIVE = TRANSFORMERS | PYRAMIDS
WRITTEN_OUT = ("written_out", "swin", "swin_padded", "swin_v2")  # attention without torch's fused call
ALL = ATTENTIVE | CONVOLUTIONS


def sized(name: str, size: tuple[int, int]) -> nn.Module:
    """The module of a kind for inputs of (h, w); what takes any size is the same."""
    rest = {"mean": {"global_pool": "avg"}, "pool": {"global_pool": "map", "class_token": False}}
    if name in ("token", "mean", "pool"):
        return VisionTransformer(**{**SMALL, "img_size": size}, **rest.get(name, {}))
    if name == "distilled":
        return VisionTransformerDistilled(**{**SMALL, "img_size": size})
    if name == "eva_mean":
        return Eva(**{**SMALL, "img_size": size}, use_rot_pos_emb=True, num_reg_tokens=4, global_pool="avg")
    if name == "cct":
        return CompactTransformer(**COMPACT, image_size=size, conv_layers=2, conv_width=12)
    if name == "swin":
        return SwinTransformer(**SWIN, img_size=size)
    return ALL[name]()


# What is read in ways of its own, once each, for tests of every method.
FAMILIES = ["token", "mean", "pool", "distilled", "eva_mean", "t2t_performer", "cct", "pvt", "pvt_v2", "cvt", "swin", "resnet"]
FEW = {"steps": 4, "samples": 12, "pieces": 5, "orders": 2, "stride": 0.25}

# Every method with each value, other than its default, of what it passes back and of how it weighs keys and heads.
CHOSEN = [
    (card.name, {option.name: value})
    for card in METHODS.values()
    for option in card.options
    if option.name in ("gradient", "key_weights", "head_weights")
    for value in option.choices
    if value != option.default
]


def few(method: str, **options) -> dict:
    """A method's options with as few samples as there can be."""
    return {option.name: FEW[option.name] for option in METHODS[method].options if option.name in FEW} | options


SIZES = {"wide": (32, 48), "padded": (36, 36), "pvt_v2": (64, 64), "pvt_v2_linear": (64, 64), "swin_padded": (40, 24)}


@cache
def model(name: str, dtype: torch.dtype = torch.float32) -> vizlib.Model:
    """A shared wrapped model; tests leave it as it was, which is what they test."""
    module = ALL[name]()
    fill_random(module)
    module = module.eval().to(dtype)
    size = SIZES.get(name, (32, 32))
    return vizlib.wrap(module, input_size=size)


def evened(name: str) -> vizlib.Model:
    """The same model with queries of zero, so that every attention is even."""
    module = ALL[name]()
    fill_random(module)
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if ".qkv." in key or ".kqv." in key:  # the first third makes q, or a performer's k
                parameter[: parameter.shape[0] // 3] = 0
            elif key.endswith(
                (
                    "relative_position_bias_table",
                    "cpb_mlp.2.weight",
                    ".q.weight",
                    ".q.bias",
                    "proj_q.weight",
                    "proj_q.bias",
                    ".q_proj.weight",
                    "latent",
                    "q_bias",
                    "q_norm.weight",
                    "q_norm.bias",
                )
            ):
                parameter.zero_()
    return vizlib.wrap(module.eval(), input_size=model(name).transform.size)


def inputs(name: str, images: int = 1, seed: int = 0) -> torch.Tensor:
    """Prepared inputs (images, 3, h, w) with some structure."""
    height, width = model(name).transform.size
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(images, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return smooth + 0.2 * torch.randn(images, 3, height, width, generator=generator)


# How many attentions each runs, where it is not three.
SITES = {
    "pool": 4, "pool_past_registers": 4, "eva_pool": 4, "t2t_performer": 4, "t2t_transformer": 4, "cct": 2, "compact_vit": 2, "vit_lite": 2,
    "pvt": 5, "pvt_v2": 4, "pvt_v2_linear": 4, "cvt": 4, "swin": 4, "swin_padded": 4, "swin_v2": 4,
}  # fmt: skip


def slope_along(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, row: int, column: int) -> float:
    """By differences: how the logit of class 1 changes with what one pixel of an image (1, C, h, w) is multiplied by."""
    step = torch.zeros_like(x)
    step[0, :, row, column] = 1e-6 * x[0, :, row, column]
    with torch.no_grad():
        return float(network(x + step)[0, 1] - network(x - step)[0, 1]) / 2e-6
