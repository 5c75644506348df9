"""CvT: three stages of overlapping convolutional embeddings and attention whose q, k and v pass depth-wise convolutions.

Wu et al., "CvT: Introducing Convolutions to Vision Transformers", ICCV 2021, arXiv:2103.15808.
The key layout is that of microsoft/CvT, MIT.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import Mlp, QuickGELU, trunc_normal_
from torch import Tensor, nn

from vizlib.errors import ModelError
from vizlib.zoo.networks.common import (
    Grid,
    check_size,
    drop_path,
    drop_path_rates,
    find_variant,
    head_width,
    initialise,
    make_head,
    merge_heads,
    note_tokens,
    note_windows,
    pair,
    rename,
    split_heads,
    to_map,
    to_tokens,
    window_count,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def conv_projection(width: int, kernel: int, stride: int) -> nn.Sequential:
    """Depth-wise convolution and batch norm, (B, C, h, w) -> (B, C, ceil(h / stride), ceil(w / stride)) for an odd kernel."""
    conv = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(width)))


class ConvAttention(nn.Module):
    """Attention with convolutional projections: (B, P + h w, C) -> the same; keys and values lie on a strided grid.

    The P class tokens bypass the convolutions and come first in q, k and v. The scale is C^-0.5, of the full width, not of a head.
    """

    def __init__(
        self, width: int, heads: int, site: str, *, kernel: int, kv_stride: int, qkv_bias: bool, attn_drop: float, drop: float
    ) -> None:
        super().__init__()
        head_width(width, heads)
        self.value_site = f"{site}.conv_proj_v"
        self.num_heads, self.kernel, self.kv_stride = heads, kernel, kv_stride
        self.scale = width**-0.5
        self.attn_drop = attn_drop
        self.conv_proj_q = conv_projection(width, kernel, 1)
        self.conv_proj_k = conv_projection(width, kernel, kv_stride)
        self.conv_proj_v = conv_projection(width, kernel, kv_stride)
        self.proj_q = nn.Linear(width, width, bias=qkv_bias)
        self.proj_k = nn.Linear(width, width, bias=qkv_bias)
        self.proj_v = nn.Linear(width, width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(drop)

    def project(self, x: Tensor, grid: Grid, prefix: int) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v, each (B, heads, tokens, d)."""
        kept, features = x[:, :prefix], to_map(x[:, prefix:], grid)
        note_windows(self.value_site, features, self.kernel, self.kv_stride, self.kernel // 2)
        q, k, v = (
            split_heads(linear(torch.cat([kept, to_tokens(conv(features))], dim=1)), self.num_heads)
            for conv, linear in ((self.conv_proj_q, self.proj_q), (self.conv_proj_k, self.proj_k), (self.conv_proj_v, self.proj_v))
        )
        return q, k, v

    def forward(self, x: Tensor, grid: Grid, prefix: int) -> Tensor:
        q, k, v = self.project(x, grid, prefix)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0, scale=self.scale)
        return self.proj_drop(self.proj(merge_heads(y)))


class Block(nn.Module):
    """A pre-norm block with convolutional attention; the MLP's activation is x sigmoid(1.702 x)."""

    def __init__(
        self,
        width: int,
        heads: int,
        site: str,
        *,
        mlp_ratio: float,
        kernel: int,
        kv_stride: int,
        qkv_bias: bool,
        attn_drop: float,
        drop: float,
        path: float,
    ) -> None:
        super().__init__()
        self.site = site
        self.norm1 = nn.LayerNorm(width)
        self.attn = ConvAttention(
            width, heads, f"{site}.attn", kernel=kernel, kv_stride=kv_stride, qkv_bias=qkv_bias, attn_drop=attn_drop, drop=drop
        )
        self.drop_path = drop_path(path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio), act_layer=QuickGELU, drop=drop)

    def forward(self, x: Tensor, grid: Grid, prefix: int) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), grid, prefix))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class ConvEmbed(nn.Module):
    """Overlapping patches: (B, C, H, W) -> normed tokens (B, h w, C') and the grid (h, w)."""

    def __init__(self, in_channels: int, width: int, site: str, window: tuple[int, int, int]) -> None:
        super().__init__()
        self.site, self.window_site, self.window = site, f"{site}.proj", window
        self.proj = nn.Conv2d(in_channels, width, *window)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        note_windows(self.window_site, x, *self.window)
        x = self.proj(x)
        return self.norm(to_tokens(x)), (x.shape[-2], x.shape[-1])


class Stage(nn.Module):
    """An embedding and its blocks, with a class token if asked for: (B, C, H, W) -> tokens (B, P + h w, C') and the grid."""

    def __init__(self, embed: ConvEmbed, blocks: Sequence[Block], *, class_token: int | None, drop: float) -> None:
        super().__init__()
        self.num_prefix_tokens = int(class_token is not None)
        if class_token is not None:
            self.cls_token = nn.Parameter(trunc_normal_(torch.empty(1, 1, class_token), std=0.02))
        self.patch_embed = embed
        self.pos_drop = nn.Dropout(drop)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        x, grid = self.patch_embed(x)
        if self.num_prefix_tokens:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.pos_drop(x)
        note_tokens(self.patch_embed.site, x, grid, self.num_prefix_tokens)
        for block in self.blocks:
            x = block(x, grid, self.num_prefix_tokens)
            note_tokens(block.site, x, grid, self.num_prefix_tokens)  # type: ignore[arg-type]
        return x, grid


class ConvVisionTransformer(nn.Module):
    """Image (B, 3, H, W) -> logits (B, K), read from a class token that joins in the last stage; no positions are added.

    One entry per stage in each sequence; ``windows`` holds kernel, stride and padding of each embedding.
    The convolutions of q, k and v have an odd ``kernel`` and pad by half of it; those of k and v have stride ``kv_stride``.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        windows: Sequence[tuple[int, int, int]] = ((7, 4, 2), (3, 2, 1), (3, 2, 1)),
        widths: Sequence[int] = (64, 192, 384),
        depths: Sequence[int] = (1, 2, 10),
        heads: Sequence[int] = (1, 3, 6),
        mlp_ratios: Sequence[float] = (4, 4, 4),
        kernel: int = 3,
        kv_stride: int = 2,
        qkv_bias: bool = True,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        if len({len(entry) for entry in (windows, widths, depths, heads, mlp_ratios, drop_path)}) != 1:
            raise ModelError("CvT needs as many windows, widths, depths, heads, mlp_ratios and drop_path rates as it has stages.")
        if kernel % 2 == 0:
            raise ModelError(f"CvT's projections need an odd kernel, not {kernel}, to keep the grid of q.")
        self.num_classes, self.num_features = num_classes, widths[-1]
        self.windows, self.kv_stride, self.num_stages = tuple(windows), kv_stride, len(widths)
        options = {"kernel": kernel, "kv_stride": kv_stride, "qkv_bias": qkv_bias, "attn_drop": attn_drop, "drop": drop}
        for s, width in enumerate(widths):
            rates = drop_path_rates(drop_path[s], depths[s])
            embed = ConvEmbed(widths[s - 1] if s else in_channels, width, f"stage{s}.patch_embed", windows[s])
            blocks = [
                Block(width, heads[s], f"stage{s}.blocks.{i}", mlp_ratio=mlp_ratios[s], path=rates[i], **options)  # type: ignore[arg-type]
                for i in range(depths[s])
            ]
            last = s == self.num_stages - 1
            self.add_module(f"stage{s}", Stage(embed, blocks, class_token=width if last else None, drop=drop))
        self.norm = nn.LayerNorm(widths[-1])
        self.head = make_head(widths[-1], num_classes)
        initialise(self.modules())

    def _stage_sides(self, side: int) -> list[int]:
        sides = [side]
        for window in self.windows:
            sides.append(window_count(sides[-1], *window))
        return sides[1:]

    def grids(self, size: int | Grid) -> list[Grid]:
        """The token grid of each stage for an image of this size; sizes that leave a stage without tokens are refused."""
        size = pair(size)
        check_size("This CvT", size, lambda side: min(self._stage_sides(side)) > 0)
        return list(zip(*(self._stage_sides(side) for side in size), strict=True))

    def key_grids(self, size: int | Grid) -> list[Grid]:
        """The grid of keys and values of each stage, the class token apart."""
        return [(-(-h // self.kv_stride), -(-w // self.kv_stride)) for h, w in self.grids(size)]

    def stage(self, s: int) -> Stage:
        """Stage ``s``, counted from 0."""
        return getattr(self, f"stage{s}")

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the class token after the final norm, (B, C)."""
        self.grids((x.shape[-2], x.shape[-1]))
        for s in range(self.num_stages):
            x, grid = self.stage(s)(x)
            if s < self.num_stages - 1:
                x = to_map(x, grid)
        x = self.norm(x[:, :1])
        return x[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, K)."""
        return self.head(self.forward_features(x))


@dataclass(frozen=True)
class Variant:
    """One published configuration; ``parameters`` leaves the buffers of the batch norms out."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    heads: tuple[int, ...]
    parameters: int
    image_size: Grid = (224, 224)
    num_classes: int = 1000


VARIANTS: dict[str, Variant] = {
    "cvt_13": Variant((1, 2, 10), (64, 192, 384), (1, 3, 6), 19_997_480),
    "cvt_21": Variant((1, 4, 16), (64, 192, 384), (1, 3, 6), 31_622_696),
    "cvt_w24": Variant((2, 2, 20), (192, 768, 1024), (3, 12, 16), 277_196_392, image_size=(384, 384)),
}


def build(name: str, num_classes: int | None = None, image_size: Grid | None = None) -> ConvVisionTransformer:
    """The published model of this name with fresh weights; it has no positions, so ``image_size`` is only checked."""
    variant = find_variant("CvT", name, VARIANTS)
    model = ConvVisionTransformer(
        num_classes=variant.num_classes if num_classes is None else num_classes,
        widths=variant.widths,
        depths=variant.depths,
        heads=variant.heads,
    )
    model.grids(variant.image_size if image_size is None else image_size)
    return model


_HF_NAMES = (
    (r"^(cvt\.)?encoder\.stages\.(\d+)\.", r"stage\2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
    (r"\.embedding\.convolution_embeddings\.projection\.", ".patch_embed.proj."),
    (r"\.embedding\.convolution_embeddings\.normalization\.", ".patch_embed.norm."),
    (r"\.layers\.(\d+)\.", r".blocks.\1."),
    (r"\.attention\.attention\.convolution_projection_([qkv])\w+\.convolution_projection\.convolution\.", r".attn.conv_proj_\1.conv."),
    (r"\.attention\.attention\.convolution_projection_([qkv])\w+\.convolution_projection\.normalization\.", r".attn.conv_proj_\1.bn."),
    (r"\.attention\.attention\.projection_([qkv])\w+\.", r".attn.proj_\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
)


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the official layout from one in that of transformers' ``Cvt``; an official one is returned with the same entries."""
    return {rename(name, _HF_NAMES): value for name, value in state.items()}
