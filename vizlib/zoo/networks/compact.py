"""Compact Transformers: CCT (convolutional tokeniser), CVT (patches, sequence pooling) and ViT-Lite (patches, class token).

Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021, arXiv:2104.05704.
The key layout is that of SHI-Labs/Compact-Transformers, Apache-2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn

from vizlib.errors import ModelError
from vizlib.tracing.outputs import heard, note
from vizlib.zoo.networks.common import (
    Attention,
    Grid,
    check_size,
    drop_path,
    drop_path_rates,
    find_variant,
    initialise,
    make_head,
    note_tokens,
    note_windows,
    pair,
    resize_positions,
    sinusoid,
    to_tokens,
    window_count,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = (3, 2, 1)
"""Kernel, stride and padding of the tokeniser's max-pool."""


class MaxPool(nn.MaxPool2d):
    """A max-pool that tells a recorder where each maximum came from."""

    def __init__(self, site: str) -> None:
        super().__init__(*POOL)
        self.site = site

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) to maps of half the size."""
        if not heard():
            return super().forward(x)
        pooled, indices = F.max_pool2d(x, self.kernel_size, self.stride, self.padding, return_indices=True)
        note(self.site, kind="maxpool", indices=indices, values=pooled, in_grid=(x.shape[-2], x.shape[-1]))
        return pooled


class Tokenizer(nn.Module):
    """Convolutions, each with ReLU and max-pool if asked for: (B, 3, H, W) -> tokens (B, h w, C) and the grid (h, w)."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        kernel: int,
        stride: int,
        padding: int,
        layers: int,
        hidden: int,
        bias: bool,
        activate: bool,
        pool: bool,
    ) -> None:
        super().__init__()
        self.window, self.pool = (kernel, stride, padding), pool
        self.sites = tuple(f"tokenizer.{i}" for i in range(layers))
        self.conv_sites = tuple(f"tokenizer.conv.{i}" for i in range(layers))
        channels = [in_channels, *[hidden] * (layers - 1), width]
        self.conv_layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels[i], channels[i + 1], kernel, stride, padding, bias=bias),
                nn.ReLU() if activate else nn.Identity(),
                MaxPool(f"tokenizer.pool.{i}") if pool else nn.Identity(),
            )
            for i in range(layers)
        )

    def grids(self, size: Grid) -> list[Grid]:
        """The grid after each layer."""
        grids = [size]
        for _ in self.conv_layers:
            grids.append(tuple(self._after_layer(side) for side in grids[-1]))  # type: ignore[arg-type]
        return grids[1:]

    def _after_layer(self, side: int) -> int:
        side = window_count(side, *self.window)
        return window_count(side, *POOL) if self.pool and side else side

    def works(self, side: int) -> bool:
        """Whether an image side leaves tokens, and loses no pixels where the patches do not overlap."""
        kernel, stride, padding = self.window
        whole = side % stride == 0 if padding == 0 and kernel == stride else True
        return whole and min(self.grids((side, side))[-1]) > 0

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        """Images (B, 3, H, W) to tokens (B, N, C)."""
        for i, layer in enumerate(self.conv_layers):
            note_windows(self.conv_sites[i], x, *self.window)
            x = layer(x)
            note(self.sites[i], kind="features", features=x)
        return to_tokens(x), (x.shape[-2], x.shape[-1])


class Block(nn.Module):
    """Pre-norm attention, then a post-norm-like MLP whose norm replaces the residual stream: (B, N, C) -> (B, N, C).

    x <- norm1(x + attention(pre_norm(x)));  x <- x + linear2(GELU(linear1(x))).
    """

    def __init__(self, width: int, heads: int, site: str, *, mlp_ratio: float, drop: float, attn_drop: float, path: float) -> None:
        super().__init__()
        self.site = site
        hidden = int(width * mlp_ratio)
        self.pre_norm = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads, attn_drop=attn_drop, drop=drop)
        self.linear1 = nn.Linear(width, hidden)
        self.dropout1 = nn.Dropout(drop)
        self.norm1 = nn.LayerNorm(width)
        self.linear2 = nn.Linear(hidden, width)
        self.dropout2 = nn.Dropout(drop)
        self.drop_path = drop_path(path)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        x = self.norm1(x + self.drop_path(self.self_attn(self.pre_norm(x))))
        y = self.linear2(self.dropout1(self.activation(self.linear1(x))))
        return x + self.drop_path(self.dropout2(y))


class Classifier(nn.Module):
    """Tokens (B, N, C) on a grid -> logits (B, K); reads out a class token, or a softmax-weighted mean of all tokens."""

    def __init__(
        self, grid: Grid, width: int, blocks: Sequence[Block], *, num_classes: int, seq_pool: bool, positions: str, drop: float
    ) -> None:
        super().__init__()
        self.grid, self.seq_pool = grid, seq_pool
        self.num_prefix_tokens = 0 if seq_pool else 1
        if seq_pool:
            self.attention_pool = nn.Linear(width, 1)
        else:
            self.class_emb = nn.Parameter(torch.zeros(1, 1, width))
        self.positional_emb = _positions(positions, grid[0] * grid[1] + self.num_prefix_tokens, width)
        self.dropout = nn.Dropout(drop)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.fc = make_head(width, num_classes)

    def pool(self, x: Tensor) -> Tensor:
        """Sequence pooling: (B, N, C) -> (B, C), with softmax weights from a linear score per token."""
        weights = self.attention_pool(x).softmax(dim=1).transpose(1, 2)
        note("classifier.attention_pool", kind="readout", weights=weights[:, 0])
        return (weights @ x)[:, 0]

    def features(self, x: Tensor, grid: Grid) -> Tensor:
        """Tokens (B, h w, C) -> what the last linear layer reads, (B, C)."""
        prefix = self.num_prefix_tokens
        if not self.seq_pool:
            x = torch.cat([self.class_emb.expand(len(x), -1, -1), x], dim=1)
        if self.positional_emb is not None:
            x = x + resize_positions(self.positional_emb, self.grid, grid, prefix=prefix, mode="bilinear")
        x = self.dropout(x)
        note_tokens("classifier.positional_emb", x, grid, prefix)
        for block in self.blocks:
            x = block(x)
            note_tokens(block.site, x, grid, prefix)  # type: ignore[arg-type]
        x = self.norm(x)
        note_tokens("classifier.norm", x, grid, prefix)
        return self.pool(x) if self.seq_pool else x[:, 0]


def _positions(kind: str, rows: int, width: int) -> nn.Parameter | None:
    if kind == "learnable":
        return nn.Parameter(trunc_normal_(torch.empty(1, rows, width), std=0.2))
    if kind == "sine":
        return nn.Parameter(sinusoid(rows, width), requires_grad=False)
    if kind == "none":
        return None
    raise ModelError(f"Compact Transformers have no positions called {kind!r}: choose 'learnable', 'sine' or 'none'.")


class CompactTransformer(nn.Module):
    """Image (B, 3, H, W) -> logits (B, K).

    The tokeniser is ``conv_layers`` convolutions of one kernel, stride and padding; CCT adds ReLU and max-pool to each and no bias,
    CVT and ViT-Lite have one of kernel = stride = patch with a bias. ``positions`` is "learnable", "sine" (frozen) or "none";
    ``image_size`` sets the grid of that table, and other images get it resized (bilinear).
    """

    def __init__(
        self,
        *,
        image_size: int | Grid = 32,
        in_channels: int = 3,
        num_classes: int = 10,
        width: int = 256,
        depth: int = 7,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
        conv_layers: int = 1,
        conv_width: int = 64,
        conv_bias: bool = False,
        activate: bool = True,
        max_pool: bool = True,
        seq_pool: bool = True,
        positions: str = "learnable",
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.image_size = num_classes, width, pair(image_size)
        self.tokenizer = Tokenizer(
            in_channels,
            width,
            kernel=kernel,
            stride=stride,
            padding=padding,
            layers=conv_layers,
            hidden=conv_width,
            bias=conv_bias,
            activate=activate,
            pool=max_pool,
        )
        rates = drop_path_rates(drop_path, depth)
        blocks = [
            Block(width, heads, f"classifier.blocks.{i}", mlp_ratio=mlp_ratio, drop=drop, attn_drop=attn_drop, path=rates[i])
            for i in range(depth)
        ]
        grid = self.grids(self.image_size)[-1]
        self.classifier = Classifier(grid, width, blocks, num_classes=num_classes, seq_pool=seq_pool, positions=positions, drop=drop)
        initialise(self.modules())

    @property
    def head(self) -> nn.Module:
        """The last linear layer, which the official layout keeps inside the classifier."""
        return self.classifier.fc

    def grids(self, size: int | Grid) -> list[Grid]:
        """The grid after each layer of the tokeniser; the last one holds the tokens. Sizes that do not fit are refused."""
        size = pair(size)
        check_size("This Compact Transformer", size, self.tokenizer.works)
        return self.tokenizer.grids(size)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> the pooled tokens or the class token after the final norm, (B, C)."""
        self.grids((x.shape[-2], x.shape[-1]))
        return self.classifier.features(*self.tokenizer(x))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, K)."""
        return self.classifier.fc(self.forward_features(x))


@dataclass(frozen=True)
class Variant:
    """One published configuration; ``kernel`` is the patch size of CVT and ViT-Lite."""

    kind: str
    size: int
    kernel: int
    layers: int
    image_size: Grid
    parameters: int
    num_classes: int = 10
    positions: str = "learnable"


CORES: dict[int, tuple[int, int, int, float]] = {
    2: (128, 2, 2, 1),
    4: (128, 4, 2, 1),
    6: (256, 6, 4, 2),
    7: (256, 7, 4, 2),
    14: (384, 14, 6, 3),
}
"""Width, depth, heads and MLP ratio of each core size."""

_SMALL, _MIDDLE, _LARGE = (32, 32), (224, 224), (384, 384)

VARIANTS: dict[str, Variant] = {
    "cct_7_3x1_32": Variant("cct", 7, 3, 1, _SMALL, 3_760_139),
    "cct_7_3x1_32_c100": Variant("cct", 7, 3, 1, _SMALL, 3_783_269, num_classes=100),
    "cct_7_3x1_32_sine": Variant("cct", 7, 3, 1, _SMALL, 3_760_139, positions="sine"),
    "cct_7_3x1_32_sine_c100": Variant("cct", 7, 3, 1, _SMALL, 3_783_269, num_classes=100, positions="sine"),
    "cct_7_7x2_224_sine": Variant("cct", 7, 7, 2, _MIDDLE, 4_573_735, num_classes=102, positions="sine"),
    "cct_14_7x2_224": Variant("cct", 14, 7, 2, _MIDDLE, 22_367_273, num_classes=1000),
    "cct_14_7x2_384": Variant("cct", 14, 7, 2, _LARGE, 22_513_193, num_classes=1000),
    "cct_14_7x2_384_fl": Variant("cct", 14, 7, 2, _LARGE, 22_167_463, num_classes=102),
    "cct_6_3x1_32": Variant("cct", 6, 3, 1, _SMALL, 3_233_803),
    "cct_6_3x2_32": Variant("cct", 6, 3, 2, _SMALL, 3_326_923),
    "cct_7_3x2_32": Variant("cct", 7, 3, 2, _SMALL, 3_853_259),
    "cct_4_3x2_32": Variant("cct", 4, 3, 2, _SMALL, 482_123),
    "cct_2_3x2_32": Variant("cct", 2, 3, 2, _SMALL, 283_723),
    "cvt_2_4_32": Variant("cvt", 2, 4, 1, _SMALL, 214_539),
    "cvt_4_4_32": Variant("cvt", 4, 4, 1, _SMALL, 412_939),
    "cvt_6_4_32": Variant("cvt", 6, 4, 1, _SMALL, 3_190_283),
    "cvt_7_4_32": Variant("cvt", 7, 4, 1, _SMALL, 3_716_619),
    "vit_lite_2_4_32": Variant("vit_lite", 2, 4, 1, _SMALL, 214_666),
    "vit_lite_4_4_32": Variant("vit_lite", 4, 4, 1, _SMALL, 413_066),
    "vit_lite_6_4_32": Variant("vit_lite", 6, 4, 1, _SMALL, 3_190_538),
    "vit_lite_7_4_32": Variant("vit_lite", 7, 4, 1, _SMALL, 3_716_874),
}


def build(name: str, num_classes: int | None = None, image_size: Grid | None = None) -> CompactTransformer:
    """The published model of this name with fresh weights; another ``image_size`` changes the grid of its position table.

    The official code built its "sine" models of CCT with a trainable table, so their weights bring their own: strict loading keeps it.
    """
    variant = find_variant("Compact Transformers", name, VARIANTS)
    width, depth, heads, mlp_ratio = CORES[variant.size]
    kernel, cct = variant.kernel, variant.kind == "cct"
    return CompactTransformer(
        image_size=variant.image_size if image_size is None else image_size,
        num_classes=variant.num_classes if num_classes is None else num_classes,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=mlp_ratio,
        kernel=kernel,
        stride=max(1, kernel // 2 - 1) if cct else kernel,
        padding=max(1, kernel // 2) if cct else 0,
        conv_layers=variant.layers,
        conv_bias=not cct,
        activate=cct,
        max_pool=cct,
        seq_pool=variant.kind != "vit_lite",
        positions=variant.positions,
    )
