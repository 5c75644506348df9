"""PVT v1: a pyramid of four token grids whose attention reads keys and values from a reduced grid.

Wang et al., "Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without Convolutions", ICCV 2021, arXiv:2102.12122.
The key layout is that of whai362/PVT, Apache-2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import Mlp, trunc_normal_
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
    resize_positions,
    split_heads,
    to_map,
    to_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NORM_EPS = 1e-6
"""Of the norms of blocks and of the last one; the norms after a convolution keep torch's 1e-5."""


class SpatialReductionAttention(nn.Module):
    """Attention of all tokens to a grid reduced R times: (B, N, C) -> (B, N, C).

    Keys and values come from an R x R convolution of stride R over the token map, normed; rows that R does not fill are left out.
    """

    def __init__(self, width: int, heads: int, site: str, *, reduction: int, qkv_bias: bool, attn_drop: float, drop: float) -> None:
        super().__init__()
        self.site = f"{site}.sr"
        self.num_heads, self.sr_ratio = heads, reduction
        self.scale = head_width(width, heads) ** -0.5
        self.attn_drop = attn_drop
        self.q = nn.Linear(width, width, bias=qkv_bias)
        self.kv = nn.Linear(width, 2 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(drop)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def reduce(self, x: Tensor, grid: Grid) -> Tensor:
        """The tokens that keys and values are made from."""
        if self.sr_ratio == 1:
            return x
        features = to_map(x, grid)
        note_windows(self.site, features, self.sr_ratio, self.sr_ratio)
        return self.norm(to_tokens(self.sr(features)))

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        q = split_heads(self.q(x), self.num_heads)
        k, v = (split_heads(part, self.num_heads) for part in self.kv(self.reduce(x, grid)).chunk(2, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_drop if self.training else 0.0, scale=self.scale)
        return self.proj_drop(self.proj(merge_heads(y)))


class Block(nn.Module):
    """A pre-norm block with spatial reduction: (B, N, C) -> (B, N, C)."""

    def __init__(
        self,
        width: int,
        heads: int,
        site: str,
        *,
        mlp_ratio: float,
        reduction: int,
        qkv_bias: bool,
        attn_drop: float,
        drop: float,
        path: float,
    ) -> None:
        super().__init__()
        self.site = site
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = SpatialReductionAttention(
            width, heads, f"{site}.attn", reduction=reduction, qkv_bias=qkv_bias, attn_drop=attn_drop, drop=drop
        )
        self.drop_path = drop_path(path)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, int(width * mlp_ratio), drop=drop)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Non-overlapping patches: (B, C, H, W) -> normed tokens (B, h w, C') and the grid (h, w)."""

    def __init__(self, in_channels: int, width: int, patch: int, site: str) -> None:
        super().__init__()
        self.site, self.window_site, self.patch = site, f"{site}.proj", patch
        self.proj = nn.Conv2d(in_channels, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        note_windows(self.window_site, x, self.patch, self.patch)
        x = self.proj(x)
        return self.norm(to_tokens(x)), (x.shape[-2], x.shape[-1])


class PyramidVisionTransformer(nn.Module):
    """Image (B, 3, H, W) -> logits (B, K), read from a class token that joins in the last stage.

    One entry per stage in each sequence; ``reductions`` must end in 1, since a class token has no place on a reduced grid.
    ``image_size`` sets the grid of each stage's position table only: other images get it resized from that grid (bilinear).
    Widths, depths and so on are numbered from stage 1 in the keys: ``patch_embed1``, ``block1``, ``pos_embed1``.
    """

    def __init__(
        self,
        *,
        image_size: int | Grid = 224,
        in_channels: int = 3,
        num_classes: int = 1000,
        patches: Sequence[int] = (4, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8),
        mlp_ratios: Sequence[float] = (8, 8, 4, 4),
        reductions: Sequence[int] = (8, 4, 2, 1),
        qkv_bias: bool = True,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if len({len(entry) for entry in (patches, widths, depths, heads, mlp_ratios, reductions)}) != 1:
            raise ModelError("PVT needs as many patches, widths, depths, heads, mlp_ratios and reductions as it has stages.")
        if reductions[-1] != 1:
            raise ModelError(f"PVT's last stage holds the class token, so its reduction must be 1, not {reductions[-1]}.")
        self.num_classes, self.num_features, self.image_size = num_classes, widths[-1], pair(image_size)
        self.patches, self.reductions, self.stages = tuple(patches), tuple(reductions), len(widths)
        self.stored_grids = self.grids(self.image_size)
        channels, first, rates = in_channels, 0, drop_path_rates(drop_path, sum(depths))
        for s, width in enumerate(widths):
            rows = self.stored_grids[s][0] * self.stored_grids[s][1] + (s == self.stages - 1)
            self.register_parameter(f"pos_embed{s + 1}", nn.Parameter(trunc_normal_(torch.empty(1, rows, width), std=0.02)))
            self.add_module(f"patch_embed{s + 1}", PatchEmbed(channels, width, patches[s], f"patch_embed{s + 1}"))
            stage = nn.ModuleList(
                Block(
                    width,
                    heads[s],
                    f"block{s + 1}.{i}",
                    mlp_ratio=mlp_ratios[s],
                    reduction=reductions[s],
                    qkv_bias=qkv_bias,
                    attn_drop=attn_drop,
                    drop=drop,
                    path=rates[first + i],
                )
                for i in range(depths[s])
            )
            self.add_module(f"block{s + 1}", stage)
            channels, first = width, first + depths[s]
        self.cls_token = nn.Parameter(trunc_normal_(torch.empty(1, 1, widths[-1]), std=0.02))
        self.pos_drop = nn.Dropout(drop)
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPS)
        self.head = make_head(widths[-1], num_classes)
        initialise(self.modules())

    def _stage_sides(self, side: int) -> list[int]:
        sides = [side]
        for patch in self.patches:
            sides.append(sides[-1] // patch)
        return sides[1:]

    def _works(self, side: int) -> bool:
        # Later stages may drop a row that does not fill a window, as the official code does; no pixel is dropped by the first.
        enough = all(s >= reduction for s, reduction in zip(self._stage_sides(side), self.reductions, strict=True))
        return side % self.patches[0] == 0 and enough

    def grids(self, size: int | Grid) -> list[Grid]:
        """The token grid of each stage for an image of this size; sizes that leave a stage without keys are refused."""
        size = pair(size)
        check_size("This PVT", size, self._works)
        return list(zip(*(self._stage_sides(side) for side in size), strict=True))

    def key_grids(self, size: int | Grid) -> list[Grid]:
        """The reduced grid of keys and values of each stage."""
        return [(h // r, w // r) for (h, w), r in zip(self.grids(size), self.reductions, strict=True)]

    def stage(self, s: int) -> tuple[PatchEmbed, nn.ModuleList, nn.Parameter]:
        """The patch embedding, blocks and position table of stage ``s``, counted from 0."""
        return getattr(self, f"patch_embed{s + 1}"), getattr(self, f"block{s + 1}"), getattr(self, f"pos_embed{s + 1}")

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the class token after the final norm, (B, C)."""
        self.grids((x.shape[-2], x.shape[-1]))
        for s in range(self.stages):
            embed, blocks, table = self.stage(s)
            prefix = int(s == self.stages - 1)
            x, grid = embed(x)
            if prefix:
                x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
            x = self.pos_drop(x + resize_positions(table, self.stored_grids[s], grid, prefix=prefix, mode="bilinear"))
            note_tokens(embed.site, x, grid, prefix)
            for block in blocks:
                x = block(x, grid)
                note_tokens(block.site, x, grid, prefix)  # type: ignore[arg-type]
            if not prefix:
                x = to_map(x, grid)
        x = self.norm(x)
        note_tokens("norm", x, grid, prefix)
        return x[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, K)."""
        return self.head(self.forward_features(x))


@dataclass(frozen=True)
class Variant:
    """One published configuration; all share widths, heads and reductions."""

    depths: tuple[int, ...]
    parameters: int
    image_size: Grid = (224, 224)
    num_classes: int = 1000


VARIANTS: dict[str, Variant] = {
    "pvt_tiny": Variant((2, 2, 2, 2), 13_229_288),
    "pvt_small": Variant((3, 4, 6, 3), 24_485_864),
    "pvt_medium": Variant((3, 4, 18, 3), 44_208_104),
    "pvt_large": Variant((3, 8, 27, 3), 61_369_320),
}


def build(name: str, num_classes: int | None = None, image_size: Grid | None = None) -> PyramidVisionTransformer:
    """The published model of this name with fresh weights; another ``image_size`` changes the grids of its position tables."""
    variant = find_variant("PVT", name, VARIANTS)
    return PyramidVisionTransformer(
        image_size=variant.image_size if image_size is None else image_size,
        num_classes=variant.num_classes if num_classes is None else num_classes,
        depths=variant.depths,
    )


_HF_STAGES = tuple(
    rule
    for s in range(4)
    for rule in (
        (rf"^(pvt\.)?encoder\.patch_embeddings\.{s}\.position_embeddings$", f"pos_embed{s + 1}"),
        (rf"^(pvt\.)?encoder\.patch_embeddings\.{s}\.cls_token$", "cls_token"),
        (rf"^(pvt\.)?encoder\.patch_embeddings\.{s}\.", f"patch_embed{s + 1}."),
        (rf"^(pvt\.)?encoder\.block\.{s}\.", f"block{s + 1}."),
    )
)
_HF_NAMES = (
    *_HF_STAGES,
    (r"^(pvt\.)?encoder\.layer_norm\.", "norm."),
    (r"^classifier\.", "head."),
    (r"\.projection\.", ".proj."),
    (r"\.layer_norm_(\d)\.", r".norm\1."),
    (r"\.attention\.self\.query\.", ".attn.q."),
    (r"\.attention\.self\.key\.", ".attn.kv."),
    (r"\.attention\.self\.sequence_reduction\.", ".attn.sr."),
    (r"\.attention\.self\.layer_norm\.", ".attn.norm."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
    (r"\.layer_norm\.", ".norm."),
)


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the official layout from one in that of transformers' ``Pvt``; an official one is returned with the same entries.

    Key and value projections are joined into one matrix, key rows first.
    """
    key, value = ".attention.self.key.", ".attention.self.value."
    return {
        rename(name, _HF_NAMES): torch.cat([tensor, state[name.replace(key, value)]]) if key in name else tensor
        for name, tensor in state.items()
        if value not in name
    }
